"""Options of the studies, which train several variants of a paper's networks one after the other.

What a variant is stands here, as options of the training by the variant's name: help lists them.
"""

from __future__ import annotations

import fnmatch
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from lossylab.core.downloads import OfflineOptions
from lossylab.core.options import Options, option, option_class, require, require_distinct
from lossylab.models.names import CODECS
from lossylab.train.options.loop import positive
from lossylab.train.options.proxiqa import proxy_loss, ssim_channels

Variants = Mapping[str, Mapping[str, Any]]

# The ablations of Table 4 are made without perceptual and adversarial loss, whose noise is larger
# than their effect.
_CONTENT = {"model": "wcdgan", "perceptual_weight": 0.0, "adversarial_weight": 0.0}
WCDGAN: Variants = {
    "wcdgan": {"model": "wcdgan"},
    "wcdgan_content": _CONTENT,
    "wcdgan_content_no_mixed_conv": {**_CONTENT, "mixed_conv": False},
    "wcdgan_content_no_mixed_attention": {**_CONTENT, "mixed_attention": False},
    "arcnn": {"model": "arcnn"},
    "tnrd": {"model": "tnrd"},
    "dncnn": {"model": "dncnn"},
    "memnet": {"model": "memnet"},
    "mwcnn": {"model": "mwcnn"},
}

# What each of the two does to a network that has learned without them, beside the same network that
# learns on without them.
WCDGAN_LOSSES: Variants = {
    "wcdgan_content_continued": _CONTENT,
    "wcdgan_perceptual": {"model": "wcdgan", "adversarial_weight": 0.0},
    "wcdgan_adversarial": {"model": "wcdgan", "perceptual_weight": 0.0},
}
CONTENT = "wcdgan_content"

# Table I, Fig. 3 and Fig. 4.
_JPEG = {"distortion": "jpeg"}
DISTORTION_GAN: Variants = {
    "jpeg": _JPEG,
    "jpeg2000": {"distortion": "jpeg2000"},
    "white": {"distortion": "white"},
    "pink": {"distortion": "pink"},
    "jpeg_lambda_0": {**_JPEG, "sparsity_weight": 0.0},
    "jpeg_lambda_0.01": {**_JPEG, "sparsity_weight": 0.01},
    "jpeg_lambda_1": {**_JPEG, "sparsity_weight": 1.0},
    "jpeg_l1": {**_JPEG, "pixel_loss": "l1"},
    "jpeg_l2": {**_JPEG, "pixel_loss": "l2"},
    # Not of the paper, whose generator sees no noise, and cannot know where JPEG's blocks lie.
    "jpeg_grid16": {**_JPEG, "grid": 16},
    "white_noise_input": {"distortion": "white", "noise_input": 3},
    "pink_noise_input": {"distortion": "pink", "noise_input": 3},
}

# "plain" is the baseline's loss, without MS-SSIM; the loss of the LSTMs of Fig. 15 is not said,
# they are compared with the baseline. The smaller weights of Fig. 7 are not printed: half of both
# is assumed.
_PLAIN = {"ms_ssim_weight": 0.0}
_VGG = {"attention": "conv", "backbone": "vgg19"}
_VGG16 = {"attention": "conv", "backbone": "vgg16", "preprocess": True}
_RESNET = {"attention": "conv", "backbone": "resnet152"}
_LSTM = {"attention": "lstm", **_PLAIN}
JPEG_ENCODER: Variants = {
    "tables": {"attention": "none", **_PLAIN},
    "vgg": {**_VGG, **_PLAIN},
    "vgg_ms_ssim": _VGG,
    "vgg_no_lpips": {**_VGG, "lpips_weight": 0.0},
    "vgg_half_weights": {**_VGG, "lpips_weight": 250.0, "ms_ssim_weight": 500.0},
    "resnet": {**_RESNET, **_PLAIN},
    "resnet_ms_ssim": _RESNET,
    "resnet_block1": {"attention": "conv", "backbone": "resnet152_block1", **_PLAIN},
    "lstm": _LSTM,
    "bilstm": {**_LSTM, "attention": "bilstm"},
    "lstm_tanh": {**_LSTM, "lstm_output": "tanh"},
    "lstm_minmax": {**_LSTM, "lstm_output": "minmax"},
    # Not of the paper: features of a trained VGG-16, a rate that counts bits, and LSTMs whose
    # attention reaches 0..1.
    "vgg16": {**_VGG16, **_PLAIN},
    "vgg16_ms_ssim": _VGG16,
    "vgg16_random": {**_VGG16, **_PLAIN, "weights": "random"},
    "vgg16_perceptual": {**_VGG16, **_PLAIN, "perceptual": "vgg16", "perceptual_blocks": 3},
    "tables_bits": {"attention": "none", **_PLAIN, "rate": "coefficients"},
    "vgg16_bits": {**_VGG16, **_PLAIN, "rate": "coefficients"},
    "lstm_logits": {**_LSTM, "lstm_output": "sigmoid_logits"},
    "bilstm_logits": {**_LSTM, "attention": "bilstm", "lstm_output": "sigmoid_logits"},
}

# The metric itself as the loss is used beside the pixel loss (_mse) and alone.
_DIRECT = {metric: {"metric": metric, "optimize": "direct"} for metric in ("ssim", "ms_ssim")}
PROXIQA: Variants = {
    "mse": {"metric": "mse"},
    **{f"{metric}_p": {"metric": metric} for metric in ("ssim", "ms_ssim", "vmaf", "vif")},
    **{f"{metric}_mse": direct for metric, direct in _DIRECT.items()},
    **{metric: {**direct, "alpha": 1.0} for metric, direct in _DIRECT.items()},
}

_LARGEST_ALPHA = 0.99  # lambda / (1 - alpha) stays a number


def _which(variants: Iterable[str], default: Iterable[str] = ()) -> Any:
    known = tuple(variants)
    return option(tuple(default) or known, "Variants to train, in this order.", choices=known)


@option_class
class StudyOptions(Options):
    """Trains several variants, one after the other."""

    FOLDER: ClassVar[str] = "runs"

    out: str = option(help="Folder of all that the study writes.")
    train_data: str = option(
        help="Images to train on: a collection, folder, glob or @list.", images=True
    )
    variants: tuple[str, ...] = _which(())
    common: tuple[str, ...] = option(
        (), "Options of the training for all variants, NAME=VALUE each, such as batch=4."
    )
    variant: tuple[str, ...] = option(
        (),
        "NAME:OPTION=VALUE,... has options for one variant, or for all whose names a pattern such "
        "as NAME* fits.",
        repeated=True,
    )
    dry_run: bool = option(False, "Print the trainings' commands and stop.")
    queue: bool = option(False, "Print what is done, running and waiting, and stop.")

    @property
    def only_tells(self) -> bool:
        """Whether the plan or the queue is all that is asked for."""
        return self.dry_run or self.queue

    @property
    def reads_images(self) -> bool:
        """See `Options.reads_images`."""
        return not self.only_tells

    def check(self) -> None:
        """Refuses what makes no study."""
        super().check()
        require(self.out, "`out` is needed: the folder of the runs")
        require(self.train_data, "`train_data` is needed: a collection, folder, glob or @list")
        for entry in self.variant:
            _, colon, given = entry.partition(":")
            require(colon and given, f"`variant`={entry}: expected NAME:OPTION=VALUE,...")

    def run_dir(self, name: str) -> str:
        """Where a run of the study is trained."""
        return str(pathlib.Path(self.out, self.FOLDER, name))


@option_class
class RepeatedStudyOptions(StudyOptions):
    """Trains several variants, each once or more often."""

    trainings: int = option(
        1,
        "Trainings of each variant, by seeds 1, 2 and so on; the second is called NAME_seed2. "
        "Three decide about differences of two networks.",
        minimum=1,
    )

    @property
    def repetitions(self) -> dict[str, dict[str, int]]:
        """Options of each training of a variant by what follows its name."""
        others = range(2, self.trainings + 1)
        return {"": {}, **{f"_seed{seed}": {"seed": seed} for seed in others}}


@option_class
class WcdganStudyOptions(OfflineOptions, RepeatedStudyOptions):
    """Trains WCDGAN, its ablations and the networks that it is compared to.

      lossylab train wcdgan_study --flagfile=wcdgan_small --out=study

    Each variant is a run of `lossylab train wcdgan` in OUT/runs/NAME with the options of this
    command and those of the variant. Killed or stopped, the same command goes on where it was; a
    variant that has all its steps is only exported again.

      lossylab train wcdgan_study --flagfile=wcdgan_losses --out=losses --start_from=study

    With --start_from, each begins with what another study has made of the same variant, or of
    wcdgan_content for wcdgan and its single losses. With --trainings, first all variants are
    trained once, then those that --repeated names again, as NAME_seed2, NAME_seed3 and so on; with
    --qualities each for several, as NAME_q5.
    """

    variants: tuple[str, ...] = _which((*WCDGAN, *WCDGAN_LOSSES), WCDGAN)
    repeated: tuple[str, ...] = option(
        ("*",), "Variants, or patterns of their names, that `trainings` is for."
    )
    qualities: tuple[int, ...] = option(
        (), "JPEG qualities to train each variant for.", minimum=1, maximum=100
    )
    start_from: str = option(
        "", "The `out` of another study, whose exports of the same seeds the variants begin with."
    )

    def check(self) -> None:
        """Refuses patterns that mean nothing."""
        super().check()
        for pattern in self.repeated:
            found = fnmatch.filter(self.variants, pattern)
            require(found, f"`repeated`={pattern} is none of {', '.join(self.variants)}")


@option_class
class DistortionGanStudyOptions(RepeatedStudyOptions):
    """Trains the distortion GAN's four distortions, its lambda study and its pixel losses.

      lossylab train distortion_gan_study --flagfile=distortion_gan_small --out=study

    Each variant is a run of `lossylab train distortion_gan` in OUT/runs/NAME with the options of
    this command and those of the variant. With --start_steps, generators of compressions begin
    with one that has learned the compression by l1. Killed or stopped, the same command goes on
    where it was; a variant that has all its steps is only exported again.
    """

    variants: tuple[str, ...] = _which(DISTORTION_GAN)
    start_steps: int = option(
        0, "Steps of the generators to begin with; 0 is as the paper, without.", minimum=0
    )


@option_class
class JpegEncoderStudyOptions(OfflineOptions, RepeatedStudyOptions):
    """Trains the JPEG encoder's variants at several rates, for the paper's figures.

      lossylab train jpeg_encoder_study --flagfile=jpeg_encoder_small --out=study

    Each variant and lambda is a run of `lossylab train jpeg_encoder` in OUT/runs/NAME_LAMBDA with
    the options of this command and those of the variant (--variant names it NAME_LAMBDA). With
    --table_steps, tables first learn alone, and all variants of a lambda begin with those that have
    learned by the same rate. Killed or stopped, the same command goes on where it was; a variant
    that has all its steps is only exported again.
    """

    variants: tuple[str, ...] = _which(JPEG_ENCODER)
    lmbdas: tuple[float, ...] = option(
        (0.001, 0.0025, 0.005, 0.01, 0.05, 0.1),
        "Weights of the distortion (Eq. 7).",
        above=0.0,
        assumed="those of the baseline's code",
    )
    table_lmbdas: tuple[float, ...] = option(
        (), "Weights of the distortion for tables alone, beside `lmbdas`.", above=0.0
    )
    table_steps: int = option(
        0,
        "Steps in which tables learn alone before the variants; 0 is as the paper, none.",
        minimum=0,
    )


@option_class
class ProxiqaStudyOptions(StudyOptions):
    """Trains codecs for several losses and rates at equal steps, and compares their files.

      lossylab train proxiqa_study --flagfile=proxiqa_demo --out=demo

    One codec is trained for MSE first, unless --init_from names one, then one for every lambda; for
    every perceptual metric a proxy learns from what the first codec makes, or by --proxy_lmbda that
    of a lambda. From there every (variant, lambda) continues for the same number of steps. Variants
    are mse (Eq. 8); ssim_p, ms_ssim_p, vmaf_p and vif_p through a proxy (Eq. 10, 11); ssim_mse with
    the metric itself beside the pixel loss (Eq. 13) and ssim with the metric alone (Eq. 14),
    likewise for ms_ssim.

    All are exported and compress images they were not trained on; rows, tables against the first
    variant, a plot, files and decoded images are written. Killed, the same command goes on where
    it was.
    """

    FOLDER: ClassVar[str] = ""

    test_data: str = option(
        help="Images to compare on: a collection, folder, glob or @list.", images=True
    )
    variants: tuple[str, ...] = _which(PROXIQA, ("mse", "vmaf_p"))
    results: str | None = option(None, "Folder of the results, if not OUT/results.")
    codec: str = option("bls2017", "Codec to train.", choices=CODECS)
    lmbdas: tuple[float, ...] = option(
        (0.003, 0.01, 0.03),
        "Weights of the pixel loss: perceptual runs are trained at lambda / (1 - alpha), so that "
        "all weigh pixels alike. Runs and rows are named by the number given here.",
        above=0.0,
    )
    base_lmbda: float = positive(0.01, "Lambda of the common start.")
    base_steps: int = option(8000, "Steps of the common start.", minimum=1)
    init_from: str = option(
        "",
        "Run, export or name of `lossylab models` that is the common start; none is trained then, "
        "and `base_lmbda` and `base_steps` mean nothing.",
    )
    lmbda_steps: int = option(0, "Steps for MSE at each lambda after it.", minimum=0)
    descend: bool = option(
        False,
        "Begin each lambda's start with that of the next larger lambda instead of the common one: "
        "codecs of high rates learn what those of low rates need. Proxies too are handed on from "
        "one rate to the next.",
    )
    validation_data: str | None = option(
        None, "Images that proxies are judged on: a collection, folder, glob or @list.", images=True
    )
    gate: float = option(
        0.0,
        "Stop unless each proxy's correlation with its metric, on patches of `validation_data`, is "
        "at least this before its codecs are trained, and its error at most half of the scores' "
        "standard deviation; 0 is off.",
        minimum=0.0,
        below=1.0,
    )
    last_gate: float = option(
        0.0,
        "Stop unless the mean correlation over the last third of every training by a proxy is at "
        "least this; 0 is off.",
        minimum=0.0,
        below=1.0,
    )
    proxy_steps: int = option(2000, "Steps of each proxy before its codecs.", minimum=1)
    proxy_lmbda: float = positive(
        0.0,
        "One of `lmbdas`, whose start makes what proxies learn from at first; 0 is the common "
        "start. Where a codec's scores hardly differ, proxies learn slowly.",
    )
    steps: int = option(2500, "Steps of each variant after that.", minimum=1)
    drop_step: int = option(
        2_000_000,
        "Step of each variant from which the learning rates are a tenth.",
        minimum=1,
    )
    export_at: tuple[int, ...] = option(
        (), "Also export variants at these steps, which are below `steps`.", minimum=1
    )
    filters: int = option(128, "Filters of every layer.", minimum=1)
    latent_filters: int = option(
        0, "Filters of the layer that makes the latent, if not `filters`.", minimum=0
    )
    alpha: float = positive(
        0.5,
        "Weight of the perceptual loss, see `lossylab train proxiqa`.",
        maximum=_LARGEST_ALPHA,
    )
    alphas: tuple[str, ...] = option(
        (),
        "VARIANT=ALPHA of those that weigh the perceptual loss otherwise, such as ssim_p=0.85: "
        "scores of good codecs differ by three or four in VMAF where they differ by one in SSIM.",
    )
    proxy_loss: str = proxy_loss()
    ssim_channels: str = ssim_channels()
    learning_rate: float = positive(1e-4, "Learning rate of the codecs.")
    proxy_learning_rate: float = positive(
        1e-3,
        "Learning rate of the proxy, which starts from nothing: the authors' code has 1e-3, the "
        "paper 1e-4.",
    )
    seed: int = option(1, "Seed of every run.", minimum=0)
    checkpoint_every: int = option(500, "Steps between checkpoints.", minimum=1)
    compare_with: tuple[str, ...] = option(
        ("jpeg",), "Other codecs to compare with, see `lossylab eval rd --help`."
    )
    measure: bool = option(True, "Compare after training.")
    title: str = option("", "Heading of the report; the budget is added.")

    def check(self) -> None:
        """Refuses what makes no study."""
        super().check()
        late = max(self.export_at, default=0)
        require(late < self.steps, f"`export_at`={late} must be below `steps`={self.steps}")
        require(
            self.validation_data or not (self.gate or self.last_gate),
            "`gate` and `last_gate` need `validation_data`",
        )
        require(
            not self.proxy_lmbda or (self.lmbda_steps and self.proxy_lmbda in self.lmbdas),
            f"`proxy_lmbda`={self.proxy_lmbda:g} must be one of `lmbdas`, with `lmbda_steps`",
        )
        for entry in self.alphas:
            variant, _, alpha = entry.partition("=")
            require(
                _weighs(variant) and _is_share(alpha),
                f"`alphas`={entry}: expected VARIANT=ALPHA, a variant with a perceptual and a "
                f"pixel loss and a number above 0 and up to {_LARGEST_ALPHA:g}, such as "
                "ssim_p=0.85",
            )
        require_distinct("alphas", [entry.partition("=")[0] for entry in self.alphas])

    def alpha_of(self, variant: str) -> float:
        """Weight of a variant's perceptual loss."""
        own = dict(entry.split("=") for entry in self.alphas)
        return float(own.get(variant, self.alpha))

    @property
    def stops(self) -> list[int]:
        """Steps at which variants are exported, ascending, the last one included."""
        return [*sorted(self.export_at), self.steps]


def _weighs(variant: str) -> bool:
    """Whether there is such a variant that weighs a perceptual loss against the pixels'."""
    values = PROXIQA.get(variant, {"metric": "mse"})
    return values["metric"] != "mse" and "alpha" not in values


def _is_share(text: str) -> bool:
    try:
        return 0.0 < float(text) <= _LARGEST_ALPHA
    except ValueError:
        return False
