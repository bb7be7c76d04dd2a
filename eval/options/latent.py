"""Options of `lossylab eval latent_study`, `degradation_nll` and `rank_accuracy`."""

from __future__ import annotations

import re

from lossylab.core.options import option, option_class, require
from lossylab.core.trust import EXPORT
from lossylab.eval.options.base import MeasurementOptions, skip_small
from lossylab.eval.options.merge import ShardOptions
from lossylab.eval.options.rankiqa import SCORINGS
from lossylab.inference.latent.settings import FIT_SAMPLES

GENERATED = "generated"
JPEG, DOWNSCALE = TASKS = ("jpeg", "downscale")
ROWS = tuple(str(number) for number in range(1, 14))  # of Table 2


@option_class
class LatentStudyOptions(ShardOptions, MeasurementOptions):
    """Restores images by every search of Table 2 and measures what comes back: rows.

    lossylab eval latent_study --generators=v1.npz,v2.npz --models=29:EXPORT,379:EXPORT \\
        --budget="small budget: ..." --out=results/mmd_restoration

    Images come from the newest generator (its latents are known then), or from --data, the same for
    both versions. They are coded by JPEG and scaled down, or only scaled down, and searched for by
    the settings of Table 2's rows. PSNR, SSIM, the distance of the styles from the true ones, MMD
    and likelihood are measured, and with --rankiqa the scores of Table 2. Killed and given again,
    the command searches for nothing twice; what was measured otherwise of the same row, variant,
    image and seed is superseded. `lossylab eval mmd_restoration` makes tables, figures and claims.
    """

    generators: tuple[str, ...] = option(
        help="Exports, names of models, or files that `lossylab import stylegan` wrote: one for "
        "each version."
    )
    budget: str = option(
        help="Budget of networks and searches, for the rows. Where it says 'as published', claims "
        "about the paper's networks can fail, too.",
    )
    out: str = option("", "Folder of rows.csv.")
    models: tuple[str, ...] = option(
        (), "Degradation models for rows 8 to 13 of Table 2, EPOCHS:EXPORT each."
    )
    judge: str | None = option(
        None,
        "Degradation model whose likelihoods of the results are measured: another training's, "
        "which no search has seen. By default the one of most epochs in `models`.",
    )
    data: str = option(
        GENERATED, "Images to restore; those that the newest generator makes if not given."
    )
    images: int = option(16, "Number of images that a generator makes.", minimum=1)
    psi: float = option(
        1.0, "Truncation of the styles that make these images.", minimum=0, maximum=1
    )
    seeds: int = option(
        1, "Number of searches of every image, each with a seed of its own.", minimum=1
    )
    rows: tuple[str, ...] = option((), "Rows of Table 2. All if not given.", choices=ROWS)
    tasks: tuple[str, ...] = option(TASKS, "Degradations to restore from.", choices=TASKS)
    quality: int = option(
        5,
        "JPEG quality of the coded images.",
        minimum=1,
        maximum=100,
        assumed="not printed; at 5 likelihoods are near Table 1's",
    )
    jpeg_factor: int = option(
        4,
        "Factor by which coded images are scaled down: 4 makes 256 pixels of 1024.",
        minimum=1,
        source="Sec. 4.3",
    )
    downscale_factor: int = option(
        32,
        "Factor by which images that are not coded are scaled down: 32 makes 32 pixels of 1024.",
        minimum=1,
    )
    change: tuple[str, ...] = option(
        (),
        "Other settings of all rows that have them, SETTING=VALUE each, such as mmd_weight=10, "
        "power=2, learning_rate=0.1 or pixel_weight=100 (beside the likelihood). They make a "
        "variant of its own in the rows.",
    )
    sweep: tuple[str, ...] = option(
        (),
        "Settings as for `change` of which each makes a variant of its own, beside the settings "
        "without it, such as mmd_weight=1,mmd_weight=10,gamma=64,samples=100.",
    )
    fit_samples: int = option(
        FIT_SAMPLES, "Number of samples that PULSE's Gaussian is fitted to.", minimum=2
    )
    batch: int = option(
        16,
        "Number of images that are searched for at once, each by itself. With another number sums "
        "are taken in another order, which changes results by a few pixel values.",
        minimum=1,
    )
    rankiqa: str | None = option(None, "Export of `lossylab train rankiqa`, for its scores.")
    scoring: str = option(
        "both",
        "What RankIQA scores. crops: crops of the images; resize: crops of the images resized to "
        "256x256, which may be smaller than its crops; both: both, as the paper.",
        choices=SCORINGS,
    )
    crops_dir: str = option(
        "", "Folder to write what the first images become to; nothing is measured then."
    )
    shown: int = option(3, "Number of images that are written to the folder of crops.", minimum=1)

    def check(self) -> None:
        """See `Options.check`."""
        require(bool(self.out or self.crops_dir), "`out` is needed: the folder of the rows")
        require(bool(self.budget), "`budget` is needed: the budget of networks and searches")
        require(
            bool(self.generators), "`generators` is needed: files of `lossylab import stylegan`"
        )
        generated = self.data == GENERATED
        require(generated or self.psi == 1.0, "`psi` makes no sense with `data`")
        require(generated or self.images == 16, "`images` makes no sense with `data`")
        require(not (self.sweep and self.crops_dir), "`sweep` makes no sense with `crops_dir`")
        self.degradation_models()

    @property
    def variant(self) -> str:
        """What the rows call the changed settings; nothing for the paper's."""
        return " ".join(self.change)

    def variants(self) -> list[LatentStudyOptions]:
        """These options, and with each setting of the sweep."""
        plain = self.replace(sweep=())
        return [plain, *(plain.replace(change=(*self.change, each)) for each in self.sweep)]

    @property
    def factors(self) -> dict[str, int]:
        """By task, how many times smaller images become."""
        factors = {JPEG: self.jpeg_factor, DOWNSCALE: self.downscale_factor}
        return {task: factors[task] for task in self.tasks}

    def degradation_models(self) -> dict[int, str]:
        """Exports of degradation models by the epochs that Table 2 calls them by."""
        models: dict[int, str] = {}
        for text in self.models:
            epochs, colon, path = text.partition(":")
            right = colon and path and re.fullmatch("[0-9]{1,9}", epochs)
            require(right, f"`models` takes EPOCHS:EXPORT, got {text}")
            require(int(epochs) not in models, f"`models`: {int(epochs)} is given twice")
            models[int(epochs)] = path
        return models


@option_class
class DegradationNllOptions(ShardOptions, MeasurementOptions):
    """Measures the likelihood of degraded images given their clean versions, and given others'.

    lossylab eval degradation_nll --model=runs/jpeg5/export --data=kodak \\
        --budget="small budget: ..." --out=results/mmd_restoration

    Each image is degraded as the model has learned, scaled down as in its training, and its middle
    is scored given its own clean version ("paired") and the next image's ("unpaired"), in bits for
    each number (Table 1). So are those of a rival that has learned nothing: the clean image with
    one spread, fitted to these images. All windows have one size: that of --window, or the largest
    that all images have. Rows go to nll.csv in --out; killed and given again, the command computes
    nothing twice. Rows of the same model and data that this command would not give are superseded.
    The means go to standard output.
    """

    model: str = option(help=f"Exported degradation model: {EXPORT}.")
    name: str = option("pixelcnn", "Name of the model, for the rows.")
    out: str = option("", "Folder of nll.csv. Only the means are printed if not given.")
    budget: str = option("", "Budget of the model, for the rows.")
    window: int = option(
        0,
        "Height and width of the windows after scaling; 0: the largest.",
        minimum=0,
        unit="pixels",
    )
    crops_dir: str = option(
        "",
        "Folder to write degraded versions of the windows to, real and drawn (Fig. 5); nothing is "
        "measured then.",
    )

    def check(self) -> None:
        """See `Options.check`."""
        require(
            bool(self.budget) or not (self.out or self.crops_dir),
            "`out` and `crops_dir` need `budget`: the model's budget",
        )


@option_class
class RankAccuracyOptions(MeasurementOptions):
    """Measures how often a RankIQA network ranks a stronger distortion as worse: rows.

    lossylab eval rank_accuracy --model=runs/rankiqa/export --data=kodak \\
        --budget="small budget: ..." --out=results/mmd_restoration

    Each image is distorted in four ways at the levels that RankIQA is trained with, and at levels
    between them, and scored at each as the mean over crops. A row has, for one kind and set of
    levels, the fraction of pairs of levels, the reference among them, that are scored in the right
    order: of all images as in training, and of the same image; and Spearman's correlation of
    scores with levels. Rows go to OUT/rank_accuracy.csv. What is there already is not measured
    again.
    """

    skip_small: bool = skip_small("the network's patch")
    model: str = option(help=f"Exported network: {EXPORT}.")
    budget: str = option(help="Budget of the model, for the rows.")
    name: str = option("RankIQA", "Name of the model, for the rows.")
    num_crops: int = option(5, "Number of crops of each version of an image.", minimum=1)
    seed: int = option(0, "Decides where the crops lie.", minimum=0, maximum=2**31 - 1)

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(bool(self.budget), "`budget` is needed: the model's budget")
