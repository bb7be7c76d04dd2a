"""PULSE's Gaussian of a generator's mapping, kept beside the generator.

A million samples take a minute for a mapping of 512; two vectors remember what came out.
"""

from __future__ import annotations

import logging
import os
import pathlib
import zipfile

import numpy as np

from lossylab.core.errors import OutputError
from lossylab.core.files import make_folder, replacing
from lossylab.inference.export import zoo

log = logging.getLogger("lossylab")

_SUFFIX = ".gaussian.npz"
_MOST = 2**20  # bytes; such a file has two vectors


def beside(generator: str) -> str:
    """Path of the Gaussian of a generator's file or export, or of a model that has a name."""
    path = str(zoo.place(generator)) if zoo.is_named(generator) else os.path.abspath(generator)
    return path.removesuffix(".npz") + _SUFFIX


def load(
    path: str, fingerprint: str, samples: int, width: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """What is remembered, or None.

    Args:
      path: of the file.
      fingerprint: of the generator's weights.
      samples: that the Gaussian is fitted to.
      width: of the styles.

    Returns:
      Mean and std, float32 [width] each; None if there is no such file, or it is of another
      generator or number of samples.
    """
    try:
        if os.path.getsize(path) > _MOST:
            return None
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            mean, std = kept["mean"], kept["std"]
            mine = kept["fingerprint"].item() == fingerprint and int(kept["samples"]) == samples
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    right = all(x.shape == (width,) and x.dtype == np.float32 for x in (mean, std))
    sane = right and np.isfinite([mean, std]).all() and (std >= 0).all()
    return (mean, std) if mine and sane else None


def save(
    path: str, fingerprint: str, samples: int, gaussian: tuple[np.ndarray, np.ndarray]
) -> None:
    """Remembers a Gaussian, if the folder can be written."""
    mean, std = gaussian
    try:
        make_folder(pathlib.Path(path).parent)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, mean=mean, std=std, fingerprint=fingerprint, samples=samples)
    except OutputError as error:
        log.warning("PULSE's Gaussian is not kept: %s", error)
