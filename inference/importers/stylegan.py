"""From the arrays and settings of an official network to a generator."""

from __future__ import annotations

import re
import reprlib

import numpy as np

from lossylab.core.errors import UsageError
from lossylab.core.options import require
from lossylab.inference.importers.stylegan_pickles import Network
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import StyleGAN

# The synthesis networks that are known, by the function that builds them. StyleGAN2-ADA's is called
# as version 1's, and told from it by its modulated layers.
_ADA = "G_synthesis of StyleGAN2-ADA"
_VERSIONS = {"G_synthesis": 1, "G_synthesis_stylegan2": 2, _ADA: 2}
# Settings that change what a network computes: the value that is known here.
_COMMON = {
    "label_size": 0,
    "num_channels": 3,
    "normalize_latents": True,
    "mapping_nonlinearity": "lrelu",
    "nonlinearity": "lrelu",
    "dtype": "float32",
}
_SKIP = {"architecture": "skip", "resample_kernel": [1, 3, 3, 1], "mapping_func": "G_mapping"}
_KNOWN = {
    "G_synthesis": _COMMON
    | {
        "use_wscale": True,
        "use_styles": True,
        "const_input_layer": True,
        "use_noise": True,
        "use_pixel_norm": False,
        "use_instance_norm": True,
        "blur_filter": [1, 2, 1],
    },
    "G_synthesis_stylegan2": _COMMON | _SKIP | {"synthesis_func": "G_synthesis_stylegan2"},
    # Half precision (num_fp16_res) and grouped convolutions change the rounding alone.
    _ADA: _COMMON | _SKIP | {"synthesis_func": "G_synthesis", "use_noise": True},
}
_FUSED_FROM = {"auto": stylegan.FUSED_FROM, True: 4, False: None}


def generator_of(network: Network) -> StyleGAN:
    """The generator that an official network is.

    Args:
      network: Gs, with its components 'mapping' and 'synthesis'.

    Raises:
      UsageError: if it is another network, does other things than generators here, or its arrays
        do not fit together.
    """
    parts = network.components
    require(
        set(parts) == {"mapping", "synthesis"} and parts["mapping"].kind == "G_mapping",
        "the file has no StyleGAN: a mapping and a synthesis network are expected, "
        f"got {', '.join(f'{k} ({v.kind})' for k, v in parts.items()) or 'none'}",
    )
    kind, modulated = parts["synthesis"].kind, "4x4/Conv/mod_weight" in parts["synthesis"].arrays
    if kind == "G_synthesis" and modulated:
        kind = _ADA
    require(
        kind in _VERSIONS,
        f"the synthesis network must be one of {', '.join(_VERSIONS)}, got '{kind:.80}'",
    )
    for part in (network, *parts.values()):
        _require_known(part.settings, _KNOWN[kind])
    arrays = dict(network.arrays)
    for name in parts:
        arrays |= {f"G_{name}/{key}": value for key, value in parts[name].arrays.items()}
    _require_grown(arrays)
    config = _config(_VERSIONS[kind], network, arrays)
    if kind == _ADA:
        config["clamp"] = parts["synthesis"].settings.get("conv_clamp")
    try:
        kind, sizes = stylegan.kind_and_sizes(config)
    except ValueError as error:
        raise UsageError(f"the network is none that is known here: {error}") from error
    _require_shapes(arrays, kind.official_shapes(sizes))
    _require_agreement(network.settings, config)
    generator = kind(sizes, seed=0)
    generator.assign_official(arrays)
    return generator


def _require_known(settings: dict, known: dict) -> None:
    for name, value in known.items():
        got = settings.get(name, value)
        require(
            got == value
            or (isinstance(value, list) and isinstance(got, tuple) and [*got] == value),
            f"the network has {name}={reprlib.repr(got)}, only {value!r} is known here",
        )


def _require_grown(arrays: dict[str, np.ndarray]) -> None:
    """Refuses a network in the middle of progressive growing; takes the numbers for it away."""
    for name in ("lod", "G_synthesis/lod"):
        lod = float(arrays.pop(name, 0.0))
        require(
            lod == 0.0, f"the network is not fully grown, '{name}' is {lod}: train it to the end"
        )


def _config(version: int, network: Network, arrays: dict[str, np.ndarray]) -> dict:
    """The sizes, from the arrays' shapes, and the settings that count."""
    sides = {int(m[1]) for name in arrays if (m := re.match(r"G_synthesis/(\d{1,5})x\1/", name))}
    sides = sorted(sides)
    last = {side: "Conv" if side == 4 else "Conv1" for side in sides}
    depth = sum(bool(re.fullmatch(r"G_mapping/Dense\d{1,3}/weight", name)) for name in arrays)
    try:
        channels = [
            arrays[f"G_synthesis/{side}x{side}/{last[side]}/bias"].shape[0] for side in sides
        ]
        latent, mapping = arrays["G_mapping/Dense0/weight"].shape
        (width,) = arrays[f"G_mapping/Dense{depth - 1}/bias"].shape
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"the network lacks arrays of a StyleGAN: {error}") from error
    psi, cutoff = stylegan.TRUNCATION[version]
    psi = network.settings.get("truncation_psi", psi)
    cutoff = network.settings.get("truncation_cutoff", cutoff)
    fused = network.components["synthesis"].settings.get("fused_scale", "auto")
    require(
        isinstance(fused, (str, bool)) and fused in _FUSED_FROM,
        f"fused_scale must be 'auto', True or False, got {reprlib.repr(fused)}",
    )
    return {
        "version": version,
        "resolution": sides[-1] if sides else 0,
        "channels": channels,
        "latent": latent,
        "mapping": mapping,
        "depth": depth,
        "width": width,
        "learning_rate": network.components["mapping"].settings.get("mapping_lrmul", 0.01),
        "psi": 1.0 if psi is None else psi,
        "cutoff": max(cutoff, 0) if isinstance(cutoff, int) else cutoff,  # below 0 as 0: none
        "fused_from": _FUSED_FROM[fused] if version == 1 else None,
    }


def _require_shapes(arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    for name in sorted(arrays.keys() | shapes.keys()):
        got = list(arrays[name].shape) if name in arrays else "nothing"
        require(name in shapes, f"the network has '{name:.80}', which its generator does not need")
        require(
            got == list(shapes[name]),
            f"the network's '{name}' must be {list(shapes[name])}, got {got}",
        )
        require(bool(np.isfinite(arrays[name]).all()), f"'{name}' has values that are no numbers")


def _require_agreement(settings: dict, config: dict) -> None:
    """Refuses settings that say other sizes than the arrays have."""
    for name, key in (
        ("resolution", "resolution"),
        ("latent_size", "latent"),
        ("dlatent_size", "width"),
        ("mapping_layers", "depth"),
        ("mapping_fmaps", "mapping"),
    ):
        said = settings.get(name, config[key])
        said = config[key] if said is None else said  # as StyleGAN2-ADA writes its defaults
        alone = key == "mapping" and config["depth"] == 1
        require(
            said == config[key] or alone,
            f"the network's arrays are for {name}={config[key]}, "
            f"its settings say {reprlib.repr(said)}",
        )
