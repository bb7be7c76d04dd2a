"""Options of `lossylab train mmd_restoration`."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.data.distortions import DISTORTIONS
from lossylab.models.names import PIXEL_DISTRIBUTIONS
from lossylab.train.options.loop import (
    TrainingOptions,
    batch,
    export_at,
    patch,
    positive,
    require_exports,
    steps,
)

SIZE_STEP = 8  # pixels between sizes of crops
_PIXELCNN = "PixelCNN++'s"
_QUALITY = 5
SMALLEST_STD = 2.0  # pixel values, of noise in the context


@option_class
class MmdRestorationOptions(TrainingOptions):
    """Trains a degradation model: how probable a degraded image is, given the clean one.

      lossylab train mmd_restoration --train_data=FOLDER --quality=5 --run_dir=runs/jpeg5

    A conditional PixelCNN++ learns by maximum likelihood. Weights are first set by one batch,
    layer by layer; an exponential mean of them is validated and exported. The loss is in bits for
    each number of an image. Killed or stopped, the same command resumes the run; the model is
    written to run_dir/export, for the search in StyleGAN's latent space, `lossylab sample` and
    `lossylab eval degradation_nll`.

    "Perceptual Image Restoration with High-Quality Priori and Degradation Learning", Sec. 3 and
    4.3.
    """

    steps: int = steps(
        473_750,
        help="Training steps in all: 379 epochs of 20,000 images, as the paper's last model; "
        "36,250 are its 29.",
        source="Sec. 4.3",
    )
    batch: int = batch(16)
    patch: int = patch(64, assumed="as for `max_patch`")
    max_patch: int = option(
        96,
        "Largest height and width of the crops, drawn anew each step from `patch` to this, a "
        "multiple of 8 more.",
        minimum=1,
        unit="pixels",
        assumed="a pixel's parameters see 16x28 pixels, so whole images of 256x256 only take "
        "memory",
    )
    degradation: str = option("jpeg", "Degradation to learn.", choices=tuple(DISTORTIONS))
    quality: int | None = option(
        None,
        "Quality of JPEG, 4:2:0; by default 5.",
        minimum=1,
        assumed="not printed; the paper's bits of degraded faces point to very low ones",
    )
    severity: float | None = positive(None, "Severity of the other degradations, in their unit.")
    factor: int = option(
        4,
        "Factor by which both images are scaled down after the degradation: 1024 to 256 pixels.",
        minimum=1,
    )
    grid: int = option(
        1, "Crops begin at multiples of this, after scaling.", minimum=1, unit="pixels"
    )
    filters: int = option(100, "Filters of the layers.", minimum=1, source="Sec. 4.1")
    blocks: int = option(6, "Conditional blocks.", minimum=1, source="Sec. 4.1")
    mixtures: int = option(10, "Components of a pixel's mixture.", minimum=1, assumed=_PIXELCNN)
    dropout: float = positive(0.5, "Fraction dropped in each block.", below=1.0, assumed=_PIXELCNN)
    merged: bool = option(
        False,
        "Merge the downward and the rightward stream before the blocks.",
        assumed="the paper's words allow both",
    )
    family: str = option(
        "logistic",
        "Distribution of the components.",
        choices=PIXEL_DISTRIBUTIONS,
        assumed="PixelCNN++'s; the paper writes Gaussian and cites it",
    )
    condition_filters: int = option(
        64, "Filters of the condition's encoder.", minimum=1, assumed="not printed"
    )
    dilations: tuple[int, ...] = option(
        (1, 1, 1),
        "Dilations of the encoder's 3x3 convolutions.",
        minimum=1,
        assumed="7 pixels hold a block of 8 at a factor of 4; 1,2,4,8 see 31, for a factor of 1",
    )
    phase: int = option(
        0,
        "Tell the encoder the position of each pixel modulo this, as 16 for JPEG's blocks at a "
        "factor of 1; 0 does not.",
        minimum=0,
        assumed="the paper does not say so",
    )
    context_errors: float = positive(
        0.0,
        "In half of the samples, what pixels are predicted from has errors as draws have them: "
        "noise of up to this std, the batch's next image or noise from a pixel on, or gray alone. "
        "Draws of a model that has only seen true pixels there drift away; 0 is as in the paper.",
        unit="pixel values",
    )
    scale_limit: float = positive(
        0.0,
        "No component of a mixture gets wider than this; 0 limits nothing, as in the paper. What a "
        "model predicts from noise is wide, and draws of it are noise again.",
        unit="pixel values",
    )
    learning_rate: float = positive(1e-3, "Learning rate of Adam.", assumed=_PIXELCNN)
    beta_1: float = positive(0.95, "The beta_1 of Adam.", below=1.0, assumed=_PIXELCNN)
    beta_2: float = positive(
        0.9995,
        "The beta_2 of Adam; it remembers the first, large gradients for thousands of steps.",
        below=1.0,
        assumed=_PIXELCNN,
    )
    decay: float = option(
        0.999995,
        "Factor of the learning rate each step.",
        above=0.0,
        maximum=1.0,
        assumed=_PIXELCNN,
    )
    average: float = positive(
        0.9995,
        "Weight of the past in the mean of the weights that is exported; 0 exports the last "
        "weights.",
        below=1.0,
        assumed=_PIXELCNN,
    )
    export_at: tuple[int, ...] = export_at("the paper compares epochs.")
    validation_size: int = option(
        0,
        "Height and width of the windows to validate on; 0 is the largest that all images have.",
        minimum=0,
        unit="pixels",
        may_differ=True,
    )
    init_from: str | None = option(None, "Run or export whose network to begin with.")

    def __post_init__(self) -> None:
        if self.degradation == "jpeg" and self.quality is None:
            object.__setattr__(self, "quality", _QUALITY)
        super().__post_init__()

    @property
    def chosen_severity(self) -> float:
        """The severity, JPEG's quality among them, given or the degradation's own."""
        given = self.quality if self.degradation == "jpeg" else self.severity
        return DISTORTIONS[self.degradation].severity if given is None else given

    def check(self) -> None:
        """Refuses options that contradict each other."""
        super().check()
        require(
            self.max_patch >= self.patch,
            f"`max_patch`={self.max_patch} is below `patch`={self.patch}",
        )
        require(
            (self.max_patch - self.patch) % SIZE_STEP == 0,
            f"`max_patch`={self.max_patch} must be `patch`={self.patch} plus a multiple of "
            f"{SIZE_STEP}: sizes in between are not drawn",
        )
        require(
            not self.context_errors or self.context_errors >= SMALLEST_STD,
            f"`context_errors` must be at least {SMALLEST_STD:g}, or 0 for none",
        )
        require(self.dilations, "`dilations` needs at least one number")
        require_exports(self.steps, self.export, self.export_at)
        require(
            not self.phase or self.grid % self.phase == 0,
            f"`phase`={self.phase} needs a `grid` of its multiples, got {self.grid}: else crops "
            "would tell the place wrongly",
        )
        self._check_degradation()

    def _check_degradation(self) -> None:
        name, jpeg = self.degradation, self.degradation == "jpeg"
        require(not jpeg or self.severity is None, "`severity` is not for jpeg: give `quality`")
        require(
            jpeg or self.quality is None,
            f"`quality` is not for {name}: give `severity`",
        )
        kind, value = DISTORTIONS[name], self.chosen_severity
        require(
            kind.lowest <= value <= kind.highest,
            f"`{'quality' if jpeg else 'severity'}` of {name} ({kind.unit}) must lie in "
            f"{kind.lowest:g}..{kind.highest:g}, got {value:g}",
        )
