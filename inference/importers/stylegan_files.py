"""Files of StyleGAN and StyleGAN2 generators: official pickles, and what is made of them."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile

import numpy as np
import scipy.optimize
import tensorflow as tf
from numpy.lib.npyio import NpzFile

from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.inference.importers import stylegan_pickles
from lossylab.inference.importers.stylegan import generator_of
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import SLOPE, StyleGAN

_SAMPLES = 32  # images that the contrast is measured on
_CALIBRATION_SAMPLES = 10_000
# E|w| and |E w| of networks that were trained, by name of their images.
MOMENTS = {"ffhq": (5.62, 1.53)}
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


def calibrate(generator: StyleGAN, norm: float, norm_of_mean: float) -> None:
    """Rescales the last mapping layer so that the styles have a trained network's moments.

    A random mapping's styles hardly vary: |E w| is .83 to .88 of E|w|, where FFHQ's network has
    .27, and constraints on styles mean nothing there. Each unit's mean is taken away before the
    last leaky ReLU, all are shifted alike until the two moments have the wanted ratio, and scaled.

    Args:
      generator: changed in place, with its stored mean.
      norm: E|w|.
      norm_of_mean: |E w|.

    Raises:
      UsageError: if no shift gives that ratio.
    """
    last = f"G_mapping/Dense{generator.sizes.depth - 1}"
    weight, bias = (generator.named_weights[f"{last}/{name}"] for name in ("weight", "bias"))
    z = tf.random.stateless_normal((_CALIBRATION_SAMPLES, generator.latent), (0, 1))
    linear = generator.map(z).numpy().astype(np.float64)
    linear = np.where(linear > 0, linear, linear / SLOPE)
    centered, unit = linear - linear.mean(0), float(linear.std(0).mean())

    def moments(shift: float) -> tuple[float, float]:
        shifted = centered + shift * unit
        styles = np.where(shifted > 0, shifted, SLOPE * shifted)
        lengths = np.linalg.norm(styles, axis=1).mean()
        return float(lengths), float(np.linalg.norm(styles.mean(0)))

    def excess(shift: float) -> float:
        lengths, of_mean = moments(shift)
        return of_mean / lengths - norm_of_mean / norm

    try:  # at a shift of -.4 the leaky ReLU's mean is nearly 0, from there the ratio rises
        shift = float(scipy.optimize.root_scalar(excess, bracket=(-0.4, 3.0), xtol=1e-6).root)
    except ValueError as error:
        raise UsageError(
            f"no shift gives styles with |E w| / E|w| = {norm_of_mean / norm:.2f}"
        ) from error
    scale = norm / moments(shift)[0]
    gain = generator.sizes.learning_rate * (2.0**0.5 if generator.version == 2 else 1.0)
    offset = scale * (shift * unit - linear.mean(0)) / gain
    bias.assign(scale * bias + offset.astype("f"))
    weight.assign(scale * weight)
    generator.mean.assign(tf.reduce_mean(generator.map(z), 0))


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
        # NumPy alone leaves damaged files open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
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
