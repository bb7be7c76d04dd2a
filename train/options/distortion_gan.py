"""Options of `lossylab train distortion_gan`."""

from __future__ import annotations

from lossylab.core.options import option, option_class, require
from lossylab.data.distortions import DISTORTIONS
from lossylab.models.names import DISCRIMINATOR_NORMS, UPSAMPLINGS
from lossylab.train.options.loop import TrainingOptions, batch, changed, patch, positive, steps

SMALLEST = 32  # pixels, for the discriminator
_ADVERSARIAL = (
    "sparsity_weight",
    "residual_gain",
    "discriminator_first",
    "discriminator_norm",
    "clip_generated",
    "gradient_penalty",
    "discriminator_filters",
    "discriminator_learning_rate",
)


@option_class
class DistortionGanOptions(TrainingOptions):
    """Trains a generator to distort images as JPEG, JPEG 2000, white or pink noise do.

      lossylab train distortion_gan --train_data=FOLDER --distortion=jpeg --run_dir=runs/jpeg

    Generator and discriminator learn in turn by the hinge loss and the sparsity of what is added
    (Eq. 1-4); with --pixel_loss the generator learns alone (Sec. III-D). Killed or stopped, the
    same command resumes the run; the generator is written to run_dir/export, for
    `lossylab distort`.

    L.-H. Chen, C. G. Bampis, Z. Li, A. C. Bovik: "Learning to Distort Images Using Generative
    Adversarial Networks", IEEE Signal Processing Letters 2020.
    """

    steps: int = steps(100_000, assumed="not printed; 340 epochs of the paper's 4700 images")
    batch: int = batch(16, source="Sec. III-A")
    patch: int = patch(256, source="Sec. III-A")
    distortion: str = option("jpeg", "Distortion to learn.", choices=tuple(DISTORTIONS))
    severity: float | None = option(
        None,
        "Severity of the distortion, in its unit; by default the distortion's own.",
        assumed="not printed; chosen so that the statistics of the real distortions differ as in "
        "Table I",
    )
    grid: int = option(
        1,
        "Patches begin at multiples of this; 16 keeps JPEG's blocks in place: those of its colors, "
        "4:2:0, are as wide.",
        minimum=1,
        unit="pixels",
    )
    filters: int = option(
        64, "Filters of the generator's first layer.", minimum=1, assumed="not printed"
    )
    discriminator_filters: int = option(
        64, "Filters of the discriminator's first layer.", minimum=1
    )
    discriminator_norm: str = option(
        "together",
        "Batch normalization of the discriminator's layers: of real and generated images together, "
        "so that it sees how strong they are, or of each apart, as pix2pix's code.",
        choices=DISCRIMINATOR_NORMS,
        assumed="the paper prints neither",
    )
    clip_generated: bool = option(
        False,
        "Show the discriminator what is generated within 0..255, as real images are: it else knows "
        "strong noise by values beyond.",
        assumed="the paper prints neither",
    )
    noise_input: int = option(
        0,
        "Channels of Gaussian noise that the generator sees beside the image, others in every "
        "step; 0 is as in the paper, whose generator always distorts an image in the same way.",
        minimum=0,
    )
    residual_gain: float = positive(
        0.0,
        "Show the discriminator this multiple of the difference instead of the second image; 0 is "
        "as in the paper.",
    )
    upsampling: str = option(
        "nearest",
        "Upsampling of the generator.",
        choices=UPSAMPLINGS,
        assumed="the paper says 'upsampling'",
    )
    sparsity_weight: float = positive(
        0.1,
        "The lambda of Eq. 3, of the mean absolute residual in pixel values.",
        assumed="the paper prints no range",
    )
    pixel_loss: str = option(
        "none",
        "Pixel loss to learn by alone, without GAN (Fig. 4).",
        choices=("none", "l1", "l2"),
        source="Sec. III-D",
    )
    discriminator_first: int = option(
        0,
        "Steps in which the discriminator learns alone; 0 is as in the paper.",
        minimum=0,
    )
    gradient_penalty: float = positive(
        0.0,
        "Weight of the discriminator's squared slope at real images, see "
        "`lossylab.losses.adversarial.gradient_penalty`; 0 is as in the paper.",
    )
    moments_steps: int | None = option(
        None,
        "Steps after which the generator's batch normalization keeps its moments and uses them in "
        "training too; 0 keeps those of `init_from`. By default it never does, as in the paper.",
        minimum=0,
    )
    learning_rate: float = positive(3e-4, "Learning rate of the generator.", source="Sec. III-A")
    discriminator_learning_rate: float = positive(
        1e-4, "Learning rate of the discriminator.", source="Sec. III-A"
    )
    beta_1: float = positive(0.9, "The beta_1 of Adam.", below=1.0, assumed="Adam's default")
    average: float = positive(
        0.0,
        "Weight of the past in the mean of the generator's weights that is exported, such as "
        "0.995; 0 exports the last weights, as the paper.",
        below=1.0,
    )
    init_from: str | None = option(None, "Run whose generator to begin with.")

    @property
    def chosen_severity(self) -> float:
        """The severity given, or the distortion's own."""
        return DISTORTIONS[self.distortion].severity if self.severity is None else self.severity

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator."""
        return self.pixel_loss == "none"

    def check(self) -> None:
        """Refuses options that contradict each other."""
        super().check()
        self._check_moments()
        kind, severity = DISTORTIONS[self.distortion], self.chosen_severity
        require(
            kind.lowest <= severity <= kind.highest,
            f"`severity` of {self.distortion} ({kind.unit}) must lie in {kind.lowest:g}.."
            f"{kind.highest:g}, got {severity:g}",
        )
        given = changed(self, _ADVERSARIAL)
        require(
            self.adversarial or not given,
            f"`{'` and `'.join(given)}` make no sense with `pixel_loss`={self.pixel_loss}: no GAN "
            "is trained",
        )
        fits = self.patch % 8 == 0 and self.patch >= SMALLEST
        require(
            not self.adversarial or fits,
            f"`patch`={self.patch} must be a multiple of 8 and at least {SMALLEST}, for the "
            "discriminator",
        )

    def _check_moments(self) -> None:
        kept = self.moments_steps
        require(
            kept != 0 or self.init_from,
            "`moments_steps`=0 keeps the moments of `init_from`, which is not given",
        )
        require(
            not kept or kept > self.discriminator_first,
            f"`moments_steps`={kept} must be above `discriminator_first`="
            f"{self.discriminator_first}: before, the generator does not learn",
        )
        require(
            not (kept and self.average),
            "`average` lags behind moments that are kept from one step on: leave it or "
            "`moments_steps` out, or begin with `init_from` and `moments_steps`=0",
        )
