"""What a generator makes an image of: styles and noise, and files of those that a search found.

A file has the styles, float32 [L, D], the noise maps that were searched for, noise0, noise1 and so
on, float32 [1, H, W, 1], and a header (JSON): fingerprint of the generator's weights, what the
other maps are and the seed that decides them, and whether the image is gray.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from numpy.lib.npyio import NpzFile

from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent.prior import normal
from lossylab.inference.latent.settings import NOISES, Settings
from lossylab.models.layers.stylegan_base import StyleGAN

_FORMAT = "lossylab latents 1"
_MOST = 2**28  # bytes


@dataclasses.dataclass(frozen=True)
class Latents:
    """What an image is made of.

    Attributes:
      styles: float32 [L, D].
      noise: a map [1, H, W, 1] for each of the generator's.
      gray: the image is the mean of the generator's channels.
    """

    styles: np.ndarray
    noise: Sequence[np.ndarray | tf.Tensor]
    gray: bool = False


def renderer(generator: StyleGAN) -> Callable[[Latents], np.ndarray]:
    """What makes images of latents, uint8 [R, R, 3]."""
    synthesize = tf.function(generator.synthesis, autograph=False)

    def image(latents: Latents) -> np.ndarray:
        maps = [tf.convert_to_tensor(each) for each in latents.noise]
        made = synthesize(tf.constant(latents.styles[None]), maps)[0]
        if latents.gray:
            made = tf.repeat(tf.reduce_mean(made, 2, keepdims=True), 3, 2)
        return np.clip(np.rint(made.numpy()), 0, 255).astype(np.uint8)

    return image


def noise_maps(generator: StyleGAN, kind: str, seed: int) -> list[tf.Tensor]:
    """PULSE's noise before a search: the last map is 0, or all are with `kind` 'zero'.

    Args:
      generator: whose noise it is.
      kind: one of `settings.NOISES`.
      seed: decides the others.

    Returns:
      float32 [1, H, W, 1] each.
    """
    maps = [tf.zeros(stored.shape) for stored in generator.noise]
    if kind != "zero":
        for index, zeros in enumerate(maps[:-1]):
            maps[index] = normal(tuple(zeros.shape), "noise", seed, index)
    return maps


def save(
    path: str | os.PathLike,
    fingerprint: str,
    settings: Settings,
    styles: np.ndarray,
    noise: Sequence[np.ndarray],
    gray: bool,
) -> None:
    """Writes what a search has found.

    Args:
      path: of the file.
      fingerprint: of the generator's weights.
      settings: of the search.
      styles: float32 [L, D].
      noise: the maps that were searched for, float32 [1, H, W, 1], coarsest first.
      gray: whether the image is the mean of the channels.

    Raises:
      OutputError: if the file cannot be written.
    """
    header = {"format": _FORMAT, "fingerprint": fingerprint, "noise": settings.noise}
    header |= {"seed": settings.seed, "gray": bool(gray)}
    arrays = {f"noise{index}": each for index, each in enumerate(noise)}
    with replacing(str(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), styles=styles, **arrays)


def is_file_of_latents(path: str | os.PathLike) -> bool:
    """Whether a file is one that `save` has written, of whatever generator."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return json.loads(archive["header"].item()).get("format") == _FORMAT
    except (OSError, ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile):
        return False


def load(path: str, generator: StyleGAN) -> Latents:
    """Latents of a file that `save` has written.

    Args:
      path: of the file.
      generator: that it was searched in.

    Raises:
      UsageError: if the file is missing, none of these, damaged, or of another generator.
    """
    require(os.path.isfile(path), f"{path}: no such file")
    try:
        if os.path.getsize(path) > _MOST:
            raise ValueError("it is too large")
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            header, arrays = _from_archive(archive)
    # NumPy and zipfile raise all kinds for damaged files.
    except Exception as error:
        raise UsageError(
            f"{path} has no latents that `lossylab restore` has written, or is damaged: "
            f"{error or type(error).__name__}"
        ) from error
    require(
        header["fingerprint"] == stylegan_files.fingerprint(generator),
        f"{path} has latents of another generator: give the one that was searched in",
    )
    maps: list[np.ndarray | tf.Tensor] = [*noise_maps(generator, header["noise"], header["seed"])]
    found = [arrays[f"noise{index}"] for index in range(len(arrays) - 1)]
    shapes = [tuple(each.shape) for each in maps[: len(found)]]
    require(
        arrays["styles"].shape == (generator.num_layers, generator.width)
        and [each.shape for each in found] == shapes,
        f"{path} is damaged: its arrays do not fit its generator",
    )
    return Latents(arrays["styles"], [*found, *maps[len(found) :]], header["gray"])


def _from_archive(archive: NpzFile) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the arrays, checked each by itself; raises ValueError."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.zip.infolist()):
        raise ValueError("it is compressed")
    header = json.loads(archive["header"].item())
    types = {"format": str, "fingerprint": str, "noise": str, "seed": int, "gray": bool}
    if {name: type(value) for name, value in header.items()} != types:
        raise ValueError("it has no header")
    if header["format"] != _FORMAT or header["noise"] not in NOISES or header["seed"] < 0:
        raise ValueError(f"its format is not '{_FORMAT}'")
    names = {"styles", *(f"noise{index}" for index in range(len(archive.files) - 2))}
    if set(archive.files) != {"header", *names}:
        raise ValueError("it has other arrays")
    arrays = {name: archive[name] for name in names}
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"'{name}' has no float32 numbers")
    return header, arrays
