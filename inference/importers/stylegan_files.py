"""Files of StyleGAN and StyleGAN2 generators: official pickles, and what is made of them."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile

import numpy as np
import tensorflow as tf
from numpy.lib.npyio import NpzFile

from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.inference.importers import pickles as stylegan_pickles
from lossylab.inference.importers.stylegan import generator_of
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import StyleGAN

_SAMPLES = 32  # images that the contrast is measured on
_FORMAT = "lossylab StyleGAN 1"
_HEADER = "header"
_HEADER_BYTES = 2**16
_NPY_BYTES = 2**12  # more than what comes before an array's numbers


def scale_contrast(generator: StyleGAN, std: float) -> None:
    """Scales a generator's output layers so that pixel values have this std about 127.5.

    Args:
      generator: changed in place.
      std: root of the mean square, in pixel values.
    """
    squares = []
    for index in range(_SAMPLES):  # one by one: large ones would fill the memory
        z = tf.random.stateless_normal((1, generator.latent), (0, index))
        styles = tf.repeat(generator.map(z)[:, None], generator.num_layers, 1)
        squares.append(tf.reduce_mean(tf.square(generator.synthesis(styles) - 127.5)))
    factor = std / tf.sqrt(tf.reduce_mean(squares))
    for name, variable in generator.named_weights.items():
        if "/ToRGB" in name and name.endswith(("/weight", "/bias")):
            variable.assign(factor * variable)


def read_official(path: str) -> StyleGAN:
    """The averaged generator of an official pickle.

    Raises:
      UsageError: if the file cannot be read, or has what generators here cannot do.
    """
    network = stylegan_pickles.read(path)
    try:
        return generator_of(network)
    # Arrays whose states are no states, names that are no names, and the like.
    except Exception as error:
        raise UsageError(f"{path}: {error or type(error).__name__}") from error


def save(generator: StyleGAN, path: str) -> None:
    """Writes a generator, its weights by their official names and in official layouts.

    Raises:
      OutputError: if the file cannot be written.
    """
    arrays = generator.official()
    header = {"format": _FORMAT, "config": generator.config, "sha256": _digest(arrays)}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{_HEADER: np.array(json.dumps(header)), **arrays})


def load(path: str) -> StyleGAN:
    """The generator of a file that `save` has written.

    Raises:
      UsageError: if the file is missing, none of these, or damaged.
    """
    require(os.path.isfile(path), f"{path}: no such file")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz archive")
        with np.load(path, allow_pickle=False) as archive:
            return _from_archive(archive)
    # NumPy and zipfile raise all kinds for damaged files.
    except Exception as error:
        raise UsageError(
            f"{path} is no generator that `lossylab import stylegan` has written, or damaged: "
            f"{error or type(error).__name__}"
        ) from error


def fingerprint(generator: StyleGAN) -> str:
    """SHA-256 over a generator's weights, in hexadecimal: the same in memory and in any file."""
    return _digest(generator.official())


def _from_archive(archive: NpzFile) -> StyleGAN:
    sizes_of_members = {}
    for member in archive.zip.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"'{member.filename:.80}' is compressed")
        sizes_of_members[member.filename.removesuffix(".npy")] = member.file_size
    if sizes_of_members.get(_HEADER, _HEADER_BYTES) >= _HEADER_BYTES:
        raise ValueError("it has no header")
    header = json.loads(archive[_HEADER].item())
    if header.get("format") != _FORMAT:
        raise ValueError(f"its format is not '{_FORMAT}'")
    kind, sizes = stylegan.kind_and_sizes(header["config"])
    shapes = kind.official_shapes(sizes)
    if set(archive.files) != {_HEADER, *shapes}:
        odd = sorted(set(archive.files) ^ {_HEADER, *shapes})
        raise ValueError(f"it has arrays too many or too few, such as '{odd[0]:.80}'")
    arrays = {}
    for name, shape in shapes.items():
        excess = sizes_of_members[name] - 4 * int(np.prod(shape, dtype=np.int64))
        if not 0 <= excess <= _NPY_BYTES:
            raise ValueError(f"'{name}' has not the size of {list(shape)}")
        arrays[name] = archive[name]
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise ValueError(f"'{name}' is not float32 {list(shape)}")
    if _digest(arrays) != header.get("sha256"):
        raise ValueError("its checksum is another")
    generator = kind(sizes, seed=0)
    generator.assign_official(arrays)
    return generator


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], "<f4").data)
    return digest.hexdigest()
