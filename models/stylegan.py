"""StyleGAN's generators by their sizes: `build` from a config, `random` with fresh weights."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers.stylegan_base import StyleGAN
from lossylab.models.layers.stylegan_sizes import Sizes
from lossylab.models.stylegan1 import StyleGAN1
from lossylab.models.stylegan2 import StyleGAN2

KINDS = {1: StyleGAN1, 2: StyleGAN2}
# Of the official code: channels, and truncation with the layers it is for.
FMAP_BASE = {1: 8192, 2: 16384}
TRUNCATION = {1: (0.7, 8), 2: (0.5, None)}
FUSED_FROM = 128  # pixels, of version 1
_SAMPLES = 1000  # mapped z whose mean a random network has
_NOISE = 0.1  # strength of noise in a random network; the official initial value is 0


def build(config: dict, seed: int | None = None) -> StyleGAN:
    """A generator with its official initial values.

    Args:
      config: a generator's `config`; see `Sizes` for what may be in it.
      seed: of the initial values; None draws one by TensorFlow's generator.

    Raises:
      ValueError: if the config lacks something, has something else, or does not fit together.
    """
    kind, sizes = kind_and_sizes(config)
    return kind(sizes, seed)


def kind_and_sizes(config: dict) -> tuple[type[StyleGAN], Sizes]:
    """The class and the sizes of a config, as `build` takes it; the same errors."""
    try:
        sizes = Sizes(**config)
    except TypeError as error:
        raise ValueError(f"no config of a generator: {error}") from error
    _require_version(sizes.version)
    return KINDS[sizes.version], sizes


def configure(
    version: int,
    resolution: int,
    fmap_base: int | None = None,
    fmap_max: int = 512,
    **sizes,
) -> dict:
    """The config of a generator as the official code makes it; arguments as for `random`.

    Raises:
      ValueError: for an unknown version.
    """
    _require_version(version)
    base = FMAP_BASE[version] if fmap_base is None else fmap_base
    psi, cutoff = TRUNCATION[version]
    config = {"psi": psi, "cutoff": cutoff, "fused_from": FUSED_FROM if version == 1 else None}
    config |= {"version": version, "resolution": resolution, **sizes}
    sides = [4 << i for i in range(max(resolution.bit_length() - 2, 0))]
    config.setdefault("channels", [min(max(2 * base // side, 1), fmap_max) for side in sides])
    return config


def random(
    version: int,
    resolution: int,
    seed: int | None,
    fmap_base: int | None = None,
    fmap_max: int = 512,
    **sizes,
) -> StyleGAN:
    """A generator with random weights, whose noise matters and whose mean is that of its w.

    Args:
      version: 1 or 2.
      resolution: of its images.
      seed: the same gives the same network; None draws one by TensorFlow's generator.
      fmap_base: the layers at a side of s pixels have 2 * fmap_base / s channels; None for the
        official number, 8192 in version 1, 16384 in version 2 (its config-f).
      fmap_max: but no more than this.
      **sizes: others of `Sizes`, such as latent, mapping, width (512 each) and depth (8).

    Raises:
      ValueError: for sizes that no generator has.
    """
    if seed is None:
        seed = int(tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int32))
    network = build(configure(version, resolution, fmap_base, fmap_max, **sizes), seed)
    for i, (name, variable) in enumerate(network.named_weights.items()):
        if name.endswith(("/noise_strength", "/Noise/weight")):
            drawn = tf.random.stateless_normal(variable.shape, (seed, -1 - i))
            variable.assign(_NOISE * (1.0 + 0.5 * drawn))
    z = tf.random.stateless_normal((_SAMPLES, network.latent), (seed, -1))
    network.mean.assign(tf.reduce_mean(network.map(z), 0))
    return network


def _require_version(version: int) -> None:
    if version not in KINDS:
        raise ValueError(f"version must be 1 or 2, got {version!r}")
