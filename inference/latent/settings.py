"""Flags of a search in a StyleGAN's latent space: the settings of a method, and changes of them."""

from __future__ import annotations

import dataclasses

from absl import flags

from lossylab.core.app import require
from lossylab.core.errors import UsageError
from lossylab.inference.latent.optimizer import SCHEDULES
from lossylab.inference.latent.prior import FIT_SAMPLES
from lossylab.inference.latent.search import MEANS, PULSE, SPACES, SPHERES, Settings
from lossylab.losses.mmd import POWERS

METHODS = {"pulse": PULSE, "mmd": Settings()}
_NLL_WEIGHT = 10.0
_HELP = {
    "space": "Where to search: W, or PULSE's normal latents.",
    "mean_init": "Begin at the mean of W.",
    "mean": "Mean of 10,000 samples, or the one stored with the network.",
    "sphere": "Latents keep their distance from this.",
    "steps": "Of the search.",
    "rate": "Adam's highest rate. Assumed: PULSE's.",
    "schedule": "Of the rate.",
    "pixel_weight": "Of the squared error of degraded images. With --degradation_model 0.",
    "geocross_weight": "Of PULSE's GEOCROSS.",
    "mmd_weight": "Of Eq. 7. Assumed: not printed; beside the other losses at 100.",
    "nll_weight": f"Of the degradation model's bits/dim; {_NLL_WEIGHT:g} if there is one.",
    "gamma": "Bandwidth of Eq. 7.",
    "power": "Of the distance in Eq. 7; 1 as printed.",
    "samples": "Of the prior.",
    "epsilon": "Squared error that is small enough.",
    "noise_layers": "Noise maps that are searched for too, coarsest first.",
    "seed": "Of latents, noise and samples.",
}
_CHOICES = {
    "space": SPACES,
    "mean": MEANS,
    "sphere": SPHERES,
    "schedule": SCHEDULES,
    "power": POWERS,
}


def define(values: flags.FlagValues) -> None:
    """Defines the flags of the search: the settings, and what it works with."""
    flags.DEFINE_string(
        "generator", None, "File that `lossylab import stylegan` wrote.", flag_values=values
    )
    flags.DEFINE_string(
        "degradation_model",
        None,
        "Export of `lossylab train mmd_restoration`: search by its likelihood.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "size",
        None,
        "Scale the given images to this side first; the paper has 256 for compression.",
        1,
        flag_values=values,
    )
    flags.DEFINE_integer("batch", 1, "Images searched for at once.", 1, flag_values=values)
    flags.DEFINE_integer(
        "save_every", 10, "Steps between files of what is best so far.", 1, flag_values=values
    )
    flags.DEFINE_enum(
        "keep",
        "best",
        ("best", "last"),
        "Iterate to write in the end; the paper's is the last.",
        flag_values=values,
    )
    flags.DEFINE_integer("fit_samples", FIT_SAMPLES, "Of PULSE's Gaussian.", 2, flag_values=values)
    for field in dataclasses.fields(Settings):
        _define_setting(values, field)


def _define_setting(values: flags.FlagValues, field: dataclasses.Field) -> None:
    """A flag whose default is that of the method."""
    name, help_text = field.name, _HELP[field.name]
    shown = "/".join(str(getattr(settings, name)) for settings in METHODS.values())
    help_text += f" Default ({'/'.join(METHODS)}): {shown}."
    if name in _CHOICES:
        choices = [str(choice) for choice in _CHOICES[name]]
        flags.DEFINE_enum(name, None, choices, help_text, flag_values=values)
    elif isinstance(field.default, bool):
        flags.DEFINE_bool(name, None, help_text, flag_values=values)
    elif isinstance(field.default, int):
        flags.DEFINE_integer(name, None, help_text, 0, flag_values=values)
    else:
        flags.DEFINE_float(name, None, help_text, 0.0, flag_values=values)


def names(values: flags.FlagValues) -> list[str]:
    """The flags of the search that were given."""
    fields = [field.name for field in dataclasses.fields(Settings)]
    own = ("generator", "degradation_model", "size", "batch", "save_every", "keep", "fit_samples")
    return [name for name in (*own, *fields) if values[name].value != values[name].default]


def settings_of(values: flags.FlagValues) -> Settings:
    """The method's settings with what the flags change; raises UsageError."""
    given = {
        field.name: type(field.default)(values[field.name].value)
        for field in dataclasses.fields(Settings)
        if values[field.name].value is not None
    }
    if values.degradation_model:
        given = {"nll_weight": _NLL_WEIGHT, "pixel_weight": 0.0, **given}
    try:
        settings = dataclasses.replace(METHODS[values.method], **given)
    except ValueError as error:
        raise UsageError(f"{error}: change the flags of these names") from error
    require(
        bool(values.degradation_model) or not settings.nll_weight,
        "--nll_weight needs --degradation_model",
    )
    require(
        not values.degradation_model or settings.nll_weight > 0,
        "--degradation_model makes no sense with --nll_weight=0",
    )
    return settings
