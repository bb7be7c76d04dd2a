"""Options of `lossylab train rankiqa`."""

from __future__ import annotations

from lossylab.core.downloads import OfflineOptions
from lossylab.core.options import option, option_class, require
from lossylab.models.names import RANKIQA_SHRINK, RANKIQA_SIZES
from lossylab.train.options.loop import TrainingOptions, batch, patch, positive, steps

# Defaults of the phases where they differ.
PHASES = {
    "rank": {
        "steps": 50_000,
        "batch": 48,
        "learning_rate": 1e-5,
        "decay": 0.1,
        "decay_every": 10_000,
    },
    "finetune": {
        "steps": 20_000,
        "batch": 30,
        "learning_rate": 1e-6,
        "decay": 0.5,
        "decay_every": 5000,
    },
}
_AUTHORS = "authors' code"


def _of_phase(text: str, name: str) -> str:
    rank, finetune = (PHASES[phase][name] for phase in ("rank", "finetune"))
    return f"{text} By default {rank:,} to rank, {finetune:,} to fine-tune."


@option_class
class RankiqaOptions(OfflineOptions, TrainingOptions):
    """Trains RankIQA: scores of images without a reference, first by rankings, then by ratings.

      lossylab train rankiqa --train_data=FOLDER --steps=20000 --run_dir=runs/ranked
      lossylab train rankiqa --phase=finetune --init_from=runs/ranked \\
          --train_data=live --scores=live/dmos.csv --run_dir=runs/finetuned

    In the first phase images are distorted at five levels in four ways, and the network learns
    which is worse. In the second it learns ratings from a CSV file with the columns image, score
    and, optionally, reference: the images of some references are kept to test with. Killed or
    stopped, the same command resumes the run; the network is written to run_dir/export, for
    `lossylab eval rankiqa`. Defaults are those of the authors' code, but for one: it fine-tunes
    the network of iteration 20,000 of its 50,000. For that, train the first run with
    --steps=20000.

    X. Liu, J. van de Weijer, A. D. Bagdanov: "RankIQA: Learning from Rankings for No-reference
    Image Quality Assessment", ICCV 2017; it measures the results of "Perceptual Image Restoration
    with High-Quality Priori and Degradation Learning" (Table 2).
    """

    # What depends on the phase is None until the options are made.
    steps: int = steps(None, help=_of_phase("Training steps in all.", "steps"), source=_AUTHORS)
    batch: int = batch(
        None, help=_of_phase("Crops in the global batch, over all devices.", "batch"),
        source=_AUTHORS,
    )  # fmt: skip
    patch: int = patch(RANKIQA_SIZES["patch"], source=_AUTHORS)
    images: int = option(
        0,
        "Number of training images to rank, evenly taken from all; 0 takes all. Each is distorted "
        "20 times and kept as far as `cache_mb` allows.",
        minimum=0,
    )
    phase: str = option(
        "rank", "Phase of the training: by rankings, or by ratings.", choices=tuple(PHASES)
    )
    weights: str = option(
        "imagenet",
        "VGG-16 to begin with: imagenet, the path of a Keras weights file with top, or random. It "
        "is not used with `init_from`.",
        source=_AUTHORS,
    )
    filters: int = option(
        RANKIQA_SIZES["filters"], "Filters of the first convolution.", minimum=1, source=_AUTHORS
    )
    units: int = option(
        RANKIQA_SIZES["units"], "Units of the dense layers.", minimum=1, source=_AUTHORS
    )
    dropout: float = positive(
        0.5, "Fraction of the dense layers dropped in training.", below=1.0, source=_AUTHORS
    )
    margin: float = positive(10.0, "Margin between scores of two levels.", source=_AUTHORS)
    optimizer: str = option(
        "sgd",
        "The authors' stochastic gradient descent with momentum .9, or Adam, for which the last "
        "layer's and the biases' larger rates do not count.",
        choices=("sgd", "adam"),
        source=_AUTHORS,
    )
    learning_rate: float = positive(
        None, _of_phase("Learning rate.", "learning_rate"), source=_AUTHORS
    )
    decay: float = option(
        None,
        _of_phase("Factor of the learning rate every `decay_every` steps.", "decay"),
        above=0.0,
        maximum=1.0,
        source=_AUTHORS,
    )
    decay_every: int = option(
        None,
        _of_phase("Steps between decays of the learning rate.", "decay_every"),
        minimum=1,
        source=_AUTHORS,
    )
    weight_decay: float = positive(5e-4, "Weight decay of all but biases.", source=_AUTHORS)
    init_from: str | None = option(
        None, "Run to begin with; its last layer is taken only for rankings."
    )
    scores: str | None = option(
        None, "CSV file of ratings: image, score, reference.", may_differ=True
    )
    test_share: float = option(
        0.2,
        "Fraction of the references whose images are kept to test with; of LIVE's 29 these are 6, "
        "as the authors'.",
        above=0.0,
        below=1.0,
        source=_AUTHORS,
    )
    validation_crops: int = option(
        5, "Crops of each image in validations.", minimum=1, may_differ=True
    )

    def __post_init__(self) -> None:
        # Of an unknown phase the check says what is wrong, not of the options that depend on it.
        for name, value in PHASES.get(self.phase, PHASES["rank"]).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        super().__post_init__()

    @property
    def validates(self) -> bool:
        """To fine-tune, the ratings have the images to test with."""
        return self.phase == "finetune" or super().validates

    def check(self) -> None:
        """Refuses options that contradict each other."""
        super().check()
        if self.phase == "finetune":
            require(self.scores, "`phase`=finetune needs `scores`, a CSV file")
            require(not self.validation_data, "`validation_data`: `scores` has the images to test")
            require(not self.images, "`images` goes with `phase`=rank")
        else:
            require(not self.scores, "`scores` goes with `phase`=finetune")
        require(
            self.patch >= RANKIQA_SHRINK,
            f"`patch` must be at least {RANKIQA_SHRINK}, got {self.patch}",
        )
        sizes = {name: getattr(self, name) for name in RANKIQA_SIZES}
        require(
            self.weights == "random" or self.init_from or sizes == RANKIQA_SIZES,
            f"`weights`={self.weights} fit {RANKIQA_SIZES} only, got {sizes}: use `weights`=random",
        )
