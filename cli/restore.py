"""Restores images with an exported network, with SA-DCT, or by a search in a StyleGAN.

  lossylab restore INPUT OUTPUT --model=runs/wcdgan_q10/export
  lossylab restore photos restored --model=sadct
  lossylab restore faces restored --method=mmd --generator=generator.npz

INPUT is a file, a folder, a glob or a named collection; OUTPUT a file for one input, else a
folder. Gray stays gray. A network for luma restores the luma of color images. Large images
are restored in pieces that do not show. A network that was trained for one JPEG quality refuses
files of another (--any_quality); other formats do not say what they were coded at. A table of
what was written goes to standard output, as CSV.

--method=pulse and --method=mmd search a generator's latent space for images that degrade to the
given ones, which are square: low resolution, or compressed (--size=256 scales them first, as the
paper). Each result has a report beside it, of the losses reached and whether the constraint was
met. Files are written from the first steps on; given again, a killed command begins anew with the
images that are not finished.
"""

from __future__ import annotations

import functools

import numpy as np
from absl import flags
from PIL import Image

from lossylab.cli import jobs, latent_restore
from lossylab.core.app import launch, new_flags, parse
from lossylab.core.environment import timed
from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.data import jpeg
from lossylab.data.collections import find_images
from lossylab.data.decode import quantization_tables, read_as_coded, upright
from lossylab.inference.export.restorer import MAX_PIXELS, Restorer
from lossylab.inference.export.restoring import SADCT, by_sadct, restore
from lossylab.inference.latent import settings as latent_flags
from lossylab.models.tnrd import TNRD

NETWORK = "network"

FLAGS = new_flags()
flags.DEFINE_enum(
    "method",
    NETWORK,
    (NETWORK, *latent_flags.METHODS),
    "An exported network, PULSE, or the search under an MMD constraint.",
    flag_values=FLAGS,
)
flags.DEFINE_string("model", None, "Folder of the export, or 'sadct'.", flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace files that exist.", flag_values=FLAGS)
flags.DEFINE_bool(
    "any_quality", False, "Restore JPEG files of whatever quality.", flag_values=FLAGS
)
flags.DEFINE_integer(
    "quality",
    None,
    "For sadct: quality at which images that are no JPEG files were coded before.",
    1,
    100,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "max_pixels",
    MAX_PIXELS,
    "Pixels a network sees at once: more need memory.",
    2**12,
    flag_values=FLAGS,
)
latent_flags.define(FLAGS)

_COLUMNS = ("input", "output", "width", "height", "channels", "quality", "seconds")
# Files of this quality and one are close enough: the tables differ by a level or two.
_NEAR = 0.1


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 2, f"expected INPUT and OUTPUT, got {len(arguments)} arguments")
    _check_method()
    if FLAGS.method != NETWORK:
        latent_restore.run(FLAGS, *arguments)
        return
    require(bool(FLAGS.model), "--model is needed: the folder of an exported network, or 'sadct'")
    require(
        FLAGS.quality is None or FLAGS.model == SADCT,
        "--quality goes with --model=sadct: a network knows its own",
    )
    sources = find_images(arguments[0])
    many = arguments[0] != sources[0]
    plan = jobs.plan(sources, arguments[1], ".png", jobs.LOSSLESS, many, FLAGS.overwrite)
    network = None if FLAGS.model == SADCT else Restorer(FLAGS.model, FLAGS.max_pixels)
    jobs.run(plan, functools.partial(_one, network), _COLUMNS)


def _check_method() -> None:
    """Refuses flags of other methods than the one asked for."""
    other = ("model", "any_quality", "quality", "max_pixels")
    names = latent_flags.names(FLAGS)
    if FLAGS.method != NETWORK:
        names = [name for name in other if FLAGS[name].value != FLAGS[name].default]
    given = ", ".join(f"--{name}" for name in names)
    require(not names, f"{given}: not for --method={FLAGS.method}")


def _one(network: Restorer | None, source: str, target: str) -> dict:
    image, tables = read_as_coded(source), quantization_tables(source)
    quality = jpeg.nearest_quality(tables[0]) if tables else None
    if network is None:
        restored, milliseconds = timed(_by_sadct, source, image, tables)
    else:
        _check_quality(network, source, quality)
        _check_blocks(network, source, tables)
        restored, milliseconds = timed(restore, network, image)
    with replacing(target) as temporary:
        Image.fromarray(restored[..., 0] if restored.shape[2] == 1 else restored).save(temporary)
    return {
        **{"input": source, "output": target},
        **{"width": image.shape[1], "height": image.shape[0], "channels": image.shape[2]},
        **{"quality": quality or "", "seconds": f"{milliseconds / 1000:.2f}"},
    }


def _by_sadct(source, image, tables):
    if tables is None:
        if FLAGS.quality is None:
            raise UsageError(f"{source}: no JPEG file: give the --quality it was coded at")
        tables = [jpeg.luminance_table(FLAGS.quality), jpeg.chrominance_table(FLAGS.quality)]
    return by_sadct(image, tables[0], tables[-1])


def _check_quality(network: Restorer, source: str, quality: int | None) -> None:
    if quality is None or network.quality is None or FLAGS.any_quality:
        return
    require(
        abs(quality - network.quality) <= max(1, _NEAR * network.quality),
        f"{source}: was coded at a quality near {quality}, the network is for "
        f"{network.quality}: choose another --model, or --any_quality",
    )


def _check_blocks(network: Restorer, source: str, tables: list[np.ndarray] | None) -> None:
    """TNRD projects onto the file's coefficients: its table and blocks must be the trained ones."""
    if network.model != TNRD.model_id or tables is None:
        return
    require(
        np.array_equal(tables[0], jpeg.luminance_table(network.quality)),
        f"{source}: has another quantization table than quality {network.quality}, which tnrd "
        "projects onto: choose another --model",
    )
    require(
        upright(source),
        f"{source}: is turned by its EXIF orientation, so that tnrd does not find its blocks: "
        "choose another --model",
    )


if __name__ == "__main__":
    launch(main)
