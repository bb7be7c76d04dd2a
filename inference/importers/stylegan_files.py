"""An official StyleGAN or StyleGAN2 network to the one file that a search takes.

  lossylab import stylegan stylegan2-ffhq-config-f.pkl ffhq.npz
  lossylab import stylegan random:2:64 small.npz --contrast=50

The official networks are NVIDIA's, under licenses of their own, for use that is not commercial:
github.com/NVlabs/stylegan2 (nvlabs-fi-cdn.nvidia.com/stylegan2/networks) and
github.com/NVlabs/stylegan. The averaged generator is taken. TensorFlow 1 is not needed, and
nothing in the file is run. 'random:VERSION:RESOLUTION' instead of a file makes a network with
random weights, at most 64 channels wide, for trying things out; --contrast brings the images of
such networks, which would be clipped, into the range of levels.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import zipfile

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse
from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.inference.importers import pickles as stylegan_pickles
from lossylab.inference.importers.stylegan import generator_of
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import StyleGAN

log = logging.getLogger("lossylab")

FLAGS = new_flags()
flags.DEFINE_bool("overwrite", False, "Replace a file that exists.", flag_values=FLAGS)
flags.DEFINE_float(
    "contrast",
    None,
    "Scale what the network adds to its images so that levels deviate so much from their middle.",
    1.0,
    100.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", 0, "Of random weights.", 0, 2**31 - 1, flag_values=FLAGS)

_RANDOM = "random:"
_CHANNELS = 64  # of random networks, and width of their latents
_SAMPLES = 32  # images that the contrast is measured on
_FORMAT = "lossylab StyleGAN 1"
_HEADER = "header"
_HEADER_BYTES = 2**16
_NPY_BYTES = 2**12  # more than what comes before an array's numbers


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(
        len(arguments) == 2,
        f"expected NETWORK.pkl and GENERATOR.npz, got {len(arguments)} arguments",
    )
    source, target = arguments
    require(target.endswith(".npz"), f"the output '{target}' must end in .npz")
    require(FLAGS.overwrite or not os.path.exists(target), f"{target} exists: --overwrite")
    generator = _random(source) if source.startswith(_RANDOM) else read_official(source)
    if FLAGS.contrast is not None:
        scale_contrast(generator, FLAGS.contrast)
    save(generator, target)
    side, count = generator.resolution, generator.parameters
    log.info("%s: version %d, %dx%d, %d weights", target, generator.version, side, side, count)


def _random(source: str) -> StyleGAN:
    """The network of 'random:VERSION:RESOLUTION'."""
    words = re.fullmatch(r"random:([12]):([0-9]{1,4})", source)
    require(bool(words), f"expected random:VERSION:RESOLUTION, such as random:2:64, got {source}")
    version, resolution = map(int, words.groups())
    sizes = dict.fromkeys(("latent", "mapping", "width", "fmap_max"), _CHANNELS)
    try:
        return stylegan.random(version, resolution, FLAGS.seed, **sizes)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error


def scale_contrast(generator: StyleGAN, deviation: float) -> None:
    """Scales a generator's output layers so that its images' levels deviate so much from 127.5.

    Args:
      generator: changed in place.
      deviation: root of the mean square, in levels.
    """
    squares = []
    for index in range(_SAMPLES):  # one by one: large ones would fill the memory
        z = tf.random.stateless_normal((1, generator.latent), (0, index))
        styles = tf.repeat(generator.map(z)[:, None], generator.layers, 1)
        squares.append(tf.reduce_mean(tf.square(generator.synthesize(styles) - 127.5)))
    factor = deviation / tf.sqrt(tf.reduce_mean(squares))
    for name, variable in generator.weights.items():
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


def _from_archive(archive: np.lib.npyio.NpzFile) -> StyleGAN:
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
        digest.update(np.ascontiguousarray(arrays[name], "<f4"))
    return digest.hexdigest()


if __name__ == "__main__":
    launch(main)
