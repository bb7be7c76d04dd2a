"""Settings of a search in a StyleGAN's latent space, two methods, and options that change them.

Nothing here imports TensorFlow, so that commands answer at once.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from lossylab.core.errors import UsageError
from lossylab.core.options import Options, option, option_class, require
from lossylab.models.names import MMD_GAMMA, MMD_POWERS

GENERATOR = (  # help of options that `generator.find_generator` takes
    "Export of `lossylab train stylegan`, name of such a model, or file that "
    "`lossylab import stylegan` wrote."
)

SPACES = ("z", "w")
SPHERES = ("origin", "mean", "none")
MEANS = ("sampled", "stored")
SCHEDULES = ("fixed", "linear1cycle", "linear1cycledrop")
NOISES = ("trainable", "fixed", "zero")
LOSSES = ("pixel", "geocross", "mmd", "nll")  # what is weighed and logged
SAMPLES = 1000  # of the prior, Sec. 4.1
FIT_SAMPLES = 1_000_000  # of PULSE's Gaussian, as PULSE
SEEDS = 2**31
SMALLEST = 2  # pixels: with one, the down-scaling would mirror more than there is
_CHOICES = {
    "space": SPACES,
    "sphere": SPHERES,
    "mean": MEANS,
    "power": MMD_POWERS,
    "schedule": SCHEDULES,
    "noise": NOISES,
}
# Settings that older rows and reports do not know: at their defaults they name nothing.
_ADDED = ("noise", "tile_latent")
_NLL_WEIGHT = 10.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """One search; the defaults are the paper's. Weights of 0 leave a loss out.

    Attributes:
      space: 'w' searches W itself, 'z' PULSE's standard normal latents.
      mean_init: begin at the mean of W; else at independent samples, one a layer.
      mean: of W: 'sampled', or 'stored' with the network as what truncation leads to.
      sphere: 'origin': latents keep their norms; 'mean': they lie about the mean at the samples'
        mean distance; 'none'.
      steps: of the search.
      learning_rate: peak learning rate of Adam.
      schedule: see `optimizer.multiplier`.
      pixel_weight: of the squared error of degraded images (pixel values / 255).
      geocross_weight: of PULSE's GEOCROSS.
      mmd_weight: of Eq. 7; not printed, see docs/decisions/mmd_restoration.md.
      nll_weight: of the degradation model's negative log-likelihood in bits/dim.
      gamma: bandwidth of Eq. 7.
      power: of its distance, as printed or 2.
      samples: of the prior.
      epsilon: squared error that is small enough; PULSE's is 0.002, the paper has none.
      noise_layers: trainable noise maps, the coarsest; the last map is 0, the rest fixed.
      noise: 'trainable': these are searched for too; 'fixed': none is; 'zero': all are 0.
      tile_latent: one latent for all layers.
      seed: of noise, latents and samples.
    """

    space: str = "w"
    mean_init: bool = True
    mean: str = "sampled"
    sphere: str = "origin"
    steps: int = 100
    learning_rate: float = 0.4
    schedule: str = "linear1cycledrop"
    pixel_weight: float = 100.0
    geocross_weight: float = 0.05
    mmd_weight: float = 100.0
    nll_weight: float = 0.0
    gamma: float = MMD_GAMMA
    power: int = 1
    samples: int = SAMPLES
    epsilon: float = 0.0
    noise_layers: int = 5
    seed: int = 0
    noise: str = "trainable"
    tile_latent: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for settings that are impossible or contradict each other."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            require(value in choices, f"`{name}` is one of {choices}, got {value!r}")
        numbers = (self.learning_rate, self.gamma, self.epsilon, *self.weights.values())
        require(
            all(0 <= number < math.inf for number in numbers) and self.learning_rate and self.gamma,
            "`learning_rate` and `gamma` must be above 0, weights and `epsilon` at least 0",
        )
        require(
            self.space != "z" or not (self.mean_init or self.sphere == "mean"),
            "the mean belongs to W: `mean_init` or `sphere`=mean makes no sense with `space`=z",
        )
        require(any(self.weights.values()), "all losses have weight 0: nothing is searched for")
        require(
            self.steps >= 1 and self.samples >= 2 and self.noise_layers >= 0,
            "`steps` must be at least 1, `samples` at least 2, `noise_layers` at least 0",
        )
        require(0 <= self.seed < SEEDS, f"`seed` must lie in 0..{SEEDS - 1}, got {self.seed}")

    @property
    def identity(self) -> tuple:
        """What names a search: all values, but for later settings at their defaults."""
        fields = dataclasses.fields(self)
        return tuple(
            getattr(self, field.name)
            for field in fields
            if field.name not in _ADDED or getattr(self, field.name) != field.default
        )

    @property
    def weights(self) -> dict[str, float]:
        """Weights by the name of the loss."""
        return {name: getattr(self, f"{name}_weight") for name in LOSSES}


PULSE = Settings(space="z", mean_init=False, mmd_weight=0.0, epsilon=2e-3)  # Menon et al. 2020
METHODS = {"pulse": PULSE, "mmd": Settings()}


def _setting(name: str, help: str, **details: Any) -> Any:  # noqa: A002 - as `option`
    """An option that changes a setting of the method; without it the method's own holds."""
    own = {key: str(getattr(each, name)).removesuffix(".0") for key, each in METHODS.items()}
    if len(set(own.values())) == 1:
        words = own["mmd"]
    else:
        words = " and ".join(f"{value} with {key}" for key, value in own.items())
    return option(None, f"{help} Without it {words}.", **details)


@option_class
class SearchOptions(Options):
    """What a search works with, and changes of its method's settings."""

    generator: str | None = option(None, GENERATOR)
    degradation_model: str | None = option(
        None, "Export of `lossylab train mmd_restoration`: the search is by its likelihood."
    )
    size: int | None = option(
        None,
        "Height and width that given images are scaled to first; the paper has 256 for "
        "compression.",
        minimum=1,
        unit="pixels",
    )
    batch: int = option(
        1,
        "Number of images that are searched for at once, each by itself. With another number sums "
        "are taken in another order, which changes results by a few pixel values.",
        minimum=1,
    )
    save_every: int = option(10, "Steps between files of what is found so far.", minimum=1)
    iterate: str = option(
        "last",
        "The iterate that is written: the last, or that of the smallest total loss.",
        choices=("last", "best"),
        source="PULSE; Sec. 4.1",
    )
    fit_samples: int = option(
        FIT_SAMPLES,
        "Number of samples that PULSE's Gaussian is fitted to.",
        minimum=2,
        source="PULSE",
    )
    space: str | None = _setting(
        "space", "The space that is searched: W, or PULSE's normal latents (z).", choices=SPACES
    )
    mean_init: bool | None = _setting("mean_init", "The search begins at the mean of W.")
    mean: str | None = _setting(
        "mean", "That mean is of 10,000 samples, or stored with the network.", choices=MEANS
    )
    sphere: str | None = _setting(
        "sphere", "Latents keep their distance from this.", choices=SPHERES
    )
    steps: int | None = _setting("steps", "Number of steps of the search.", minimum=1)
    learning_rate: float | None = _setting(
        "learning_rate", "Adam's highest learning rate.", above=0, assumed="PULSE's"
    )
    schedule: str | None = _setting(
        "schedule", "How the learning rate changes over the steps.", choices=SCHEDULES
    )
    pixel_weight: float | None = _setting(
        "pixel_weight",
        "Weight of the squared error of degraded images. With `degradation_model` it is 0.",
        minimum=0,
    )
    geocross_weight: float | None = _setting(
        "geocross_weight", "Weight of PULSE's GEOCROSS.", minimum=0
    )
    mmd_weight: float | None = _setting(
        "mmd_weight",
        "Weight of Eq. 7.",
        minimum=0,
        assumed="not printed; at 100 it is beside the other losses",
    )
    nll_weight: float | None = _setting(
        "nll_weight",
        "Weight of the degradation model's bits/dim. With `degradation_model` it is "
        f"{_NLL_WEIGHT:g}.",
        minimum=0,
    )
    gamma: float | None = _setting("gamma", "Bandwidth of Eq. 7.", above=0, source="Sec. 4.1")
    power: int | None = _setting(
        "power", "Power of the distance in Eq. 7; 1 as printed.", choices=MMD_POWERS
    )
    samples: int | None = _setting(
        "samples", "Number of samples that stand for the prior.", minimum=2, source="Sec. 4.1"
    )
    epsilon: float | None = _setting(
        "epsilon", "The squared error that is small enough.", minimum=0
    )
    noise_layers: int | None = _setting(
        "noise_layers",
        "Number of noise maps that are searched for too, coarsest first.",
        minimum=0,
    )
    noise: str | None = _setting(
        "noise",
        "Noise maps: the coarsest are searched for (trainable), all are drawn once (fixed), or all "
        "are 0 (zero).",
        choices=NOISES,
        source="PULSE",
    )
    tile_latent: bool | None = _setting(
        "tile_latent", "One latent is searched for, the same in all layers."
    )
    duplicates: int = option(
        1,
        "Number of results for each image, NAME_1, NAME_2 and so on, with seeds that follow each "
        "other.",
        minimum=1,
        source="PULSE",
    )
    seed: int | None = _setting(
        "seed", "Latents, noise and samples are decided by it.", minimum=0, maximum=SEEDS - 1
    )


def settings_of(options: SearchOptions, method: str) -> Settings:
    """A method's settings with what the options change; raises UsageError."""
    names = [field.name for field in dataclasses.fields(Settings)]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.degradation_model:
        given = {"nll_weight": _NLL_WEIGHT, "pixel_weight": 0.0, **given}
    if METHODS[method].space == "z" and "space" not in given:
        centered = given.get("mean_init") or given.get("sphere") == "mean"
        require(
            not centered,
            f"`method`={method} searches in Z, `mean_init` and `sphere`=mean belong to W: give "
            "`space`=w too, or another `method`",
        )
    settings = dataclasses.replace(METHODS[method], **given)
    if bool(options.degradation_model) != bool(settings.nll_weight):
        raise UsageError(
            "`degradation_model` makes no sense with `nll_weight`=0"
            if options.degradation_model
            else "`nll_weight` needs `degradation_model`"
        )
    return settings
