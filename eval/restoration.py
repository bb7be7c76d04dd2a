"""Measures restoration of JPEG images: methods x qualities x images to rows.

  lossylab eval restoration --data=live1,classic5 --methods=jpeg,sadct --qualities=10 \\
    --models=wcdgan:runs/wcdgan_q10/export --out=results/mine --title="my budget"

Protocols (--channels): y takes MATLAB's studio-range luma and codes that plane as a gray file, as
the ARCNN, DnCNN and MWCNN papers do; rgb codes color files with 4:2:0. Every row has PSNR, SSIM
with the Gaussian window of 11 taps and with the uniform one of 8, PSNR-B, and the run time; with
--lpips also LPIPS. With --inception the sets get Inception Score and FID (sets.csv). A model is
measured at the quality it was trained for, official blind ones at all. What is known already is not
measured again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator

import numpy as np
import PIL
import tensorflow as tf
import tqdm
from absl import flags

import lossylab
from lossylab.core import rows
from lossylab.core.app import (
    launch,
    new_flags,
    parse,
    repeated,
    require,
    require_distinct,
    require_known,
    timed,
)
from lossylab.core.digest import digest
from lossylab.core.environment import environment
from lossylab.core.errors import BackboneError, UsageError
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import naming
from lossylab.data import jpeg
from lossylab.data.collections import find_images
from lossylab.data.lattice_pairs import CHANNELS, read_planes
from lossylab.data.patches import check_sizes
from lossylab.eval.metrics import inception, lpips
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.psnr_b import psnr_b
from lossylab.eval.metrics.ssim import ssim, ssim_uniform
from lossylab.eval.report import crop_grid, tables
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import SADCT, by_sadct
from lossylab.models import sadct

METHODS = ("jpeg", SADCT)
OFFICIAL, UNTRAINED = "official weights", "no training"  # budgets
MEASURED = ("psnr", "ssim", "ssim_uniform", "psnr_b", "lpips")
TEXT = ("method", "channels", "data", "image", "budget", "version", "identity", "content")
COLUMNS = (
    *("method", "channels", "quality", "data", "image", "width", "height", *MEASURED),
    *("seconds", "parameters", "budget", "version", "identity", "content"),
)
SET_COLUMNS = (
    *("method", "channels", "quality", "data", "images", "inception_score", "fid"),
    *("weights", "budget", "version", "identity"),
)
_SMALLEST = 16  # pixels, for all of the measures
_REVISION = 1  # of how images are measured

FLAGS = new_flags()
flags.DEFINE_list("data", ["live1", "classic5"], "Collections of images.", flag_values=FLAGS)
flags.DEFINE_enum("channels", "y", list(CHANNELS), "Protocol.", flag_values=FLAGS)
flags.DEFINE_list("qualities", ["5", "10", "20"], "JPEG qualities.", flag_values=FLAGS)
flags.DEFINE_list("methods", list(METHODS), f"From {', '.join(METHODS)}.", flag_values=FLAGS)
flags.DEFINE_list(
    "models", [], "NAME:EXPORT; several of one name for several qualities.", flag_values=FLAGS
)
flags.DEFINE_string("out", None, "Folder of rows.csv.", flag_values=FLAGS)
flags.DEFINE_string("title", "", "Budget of the models, for their rows.", flag_values=FLAGS)
flags.DEFINE_string("lpips", None, "LPIPS weights: a file, or random.", flag_values=FLAGS)
flags.DEFINE_string(
    "inception", None, "Inception weights: imagenet, random, or a Keras file.", flag_values=FLAGS
)
flags.DEFINE_string(
    "crops",
    None,
    "Folder to write crops of all methods into, at the first quality; `eval wcdgan` draws them.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("size", 128, "Side of the crops in pixels.", 32, flag_values=FLAGS)
flags.DEFINE_list(
    "at", ["0.5", "0.5"], "Center of the crops: shares of width and height.", flag_values=FLAGS
)


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to restore images of one quality.

    Attributes:
      name: for the rows.
      restore: from a decoded image uint8 [H, W, C] to the restored one.
      parameters: trainable weights.
      budget: of its training.
      identity: what decides its results.
    """

    name: str
    restore: Callable[[np.ndarray], np.ndarray]
    parameters: int
    budget: str
    identity: str


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out), "--out is needed: the folder of the rows")
    require_known("methods", FLAGS.methods, METHODS)
    require(bool(FLAGS.title or not FLAGS.models), "--title is needed: the models' budget")
    qualities = _qualities()
    shares = crop_grid.center(FLAGS.at)
    images = {name: find_images(name) for name in FLAGS.data}
    smallest = max(
        _SMALLEST, lpips.SMALLEST if FLAGS.lpips else 0, FLAGS.size if FLAGS.crops else 0
    )
    for name, paths in images.items():
        require_distinct("images", [pathlib.Path(path).stem for path in paths])
        check_sizes(paths, smallest, "the windows")
        require(
            not FLAGS.inception or len(paths) > 1, f"--inception needs more images than {name}'s"
        )
    networks = _networks()
    methods = {quality: _methods(quality, networks) for quality in qualities}
    _refuse_unused(methods, networks)
    try:
        perceptual = lpips.LPIPS(FLAGS.lpips) if FLAGS.lpips else None
        features = inception.Inception(FLAGS.inception) if FLAGS.inception else None
    except BackboneError as error:
        raise UsageError(str(error)) from error
    out = pathlib.Path(FLAGS.out)
    with contextlib.closing(rows.Rows(out / "rows.csv", COLUMNS)) as table:
        measured = _measure_images(table, methods, images, perceptual)
    _note_command(out, argv)
    if FLAGS.crops:
        _write_crops(methods[qualities[0]], qualities[0], images, shares)
    if features is not None:
        _measure_sets(out, features, methods, images)
    sys.stdout.write(tables.markdown_table(means(rows.frame(measured, TEXT))) + "\n")


def means(table) -> list[dict[str, str]]:
    """Mean values of each method, set and quality as lines of a table."""
    lines = []
    groups = table.groupby(["data", "quality", "method"], sort=False)
    for (data, quality, method), mine in sorted(groups, key=lambda group: group[0][:2]):
        lines.append(
            {
                **{"set": data, "q": str(quality), "method": method},
                "PSNR, dB": tables.number(mine.psnr.mean(), 2),
                "SSIM, Gaussian 11": tables.number(mine.ssim.mean(), 4),
                "SSIM, uniform 8": tables.number(mine.ssim_uniform.mean(), 4),
                "PSNR-B, dB": tables.number(mine.psnr_b.mean(), 2),
                "s per image": tables.number(mine.seconds.mean(), 2),
                "images": str(len(mine)),
            }
        )
    return lines


def _measure_images(table, methods, images, perceptual) -> list[dict[str, str]]:
    """The rows of all methods and images; those that are missing are measured."""
    _set_old_methods_aside(table, methods)
    known = {_key(row): row for row in table.rows}
    measured = []
    total = sum(len(some) for some in methods.values()) * sum(map(len, images.values()))
    with tqdm.tqdm(total=total, unit="image", desc="measuring") as bar:
        for name, path in _each(images):
            true = read_planes(path, CHANNELS[FLAGS.channels])
            content = digest(true)[:16]
            for quality, some in methods.items():
                damaged = functools.cache(functools.partial(jpeg.degrade, true, quality))
                for method in some:
                    place = _place(method, quality, name, path, content)
                    row = known.get(_key(place))
                    if row is None:
                        row = table.append(_measure(method, place, true, damaged(), perceptual))
                    measured.append(row)
                    bar.update()
    _set_old_contents_aside(table, measured)
    return measured


def _each(images: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Every image with the name of its set."""
    return ((name, path) for name, paths in images.items() for path in paths)


def _measure(method, place, true, damaged, perceptual) -> dict:
    restored, milliseconds = timed(method.restore, damaged)
    if restored.shape != true.shape:
        raise UsageError(f"{method.name} made {restored.shape} of {true.shape}")
    distance = math.nan
    if perceptual is not None:
        distance = perceptual(true, restored)
    return {
        **place,
        **{"width": true.shape[1], "height": true.shape[0]},
        "psnr": psnr(true, restored),
        "ssim": float(ssim(true[None], restored[None])[0]),
        "ssim_uniform": float(ssim_uniform(true[None], restored[None])[0]),
        "psnr_b": psnr_b(true, restored),
        "lpips": distance,
        "seconds": milliseconds / 1000,
        **{"parameters": method.parameters, "budget": method.budget, "version": _version()},
    }


def _place(method, quality, data, path, content) -> dict:
    return {
        **{"method": method.name, "channels": FLAGS.channels, "quality": quality, "data": data},
        **{"image": pathlib.Path(path).stem, "content": content},
        "identity": method.identity,
    }


def _key(row: dict) -> tuple:
    names = ("method", "channels", "quality", "data", "image", "content", "identity")
    return tuple(str(row[name]) for name in names)


def _refuse_unused(methods: dict[int, list[Method]], networks) -> None:
    """Raises UsageError if a model is for none of the qualities, or nothing is to be measured."""
    used = {method.name for some in methods.values() for method in some}
    unused = [name for name, _ in networks if name not in used]
    require(not unused, f"--models: {', '.join(unused)} is for none of the --qualities")
    require(bool(used), "nothing to measure: give --methods or --models")


def _set_old_methods_aside(table: rows.Rows, methods: dict[int, list[Method]]) -> None:
    """Rows of these methods as they were before are not shown any more."""
    current = {
        (method.name, FLAGS.channels, str(quality)): method.identity
        for quality, some in methods.items()
        for method in some
    }

    def is_old(row):
        mine = current.get((row["method"], row["channels"], row["quality"]))
        return mine is not None and row["identity"] != mine

    table.set_aside(is_old, "are of other weights, budgets or versions")


def _set_old_contents_aside(table: rows.Rows, measured: list[dict[str, str]]) -> None:
    """Nor are those of images that have changed since."""

    def place(row):
        return tuple(row[name] for name in ("method", "channels", "quality", "data", "image"))

    current = {place(row): row["content"] for row in measured}
    table.set_aside(
        lambda row: current.get(place(row), row["content"]) != row["content"],
        "are of images that have changed",
    )


def _methods(quality: int, networks: list[tuple[str, Restorer]]) -> list[Method]:
    """All methods that can restore images of a quality."""
    found = []
    luminance, chrominance = jpeg.luminance_table(quality), jpeg.chrominance_table(quality)
    if "jpeg" in FLAGS.methods:
        found.append(_method("jpeg", lambda image: image, 0, "", "jpeg"))
    if SADCT in FLAGS.methods:

        def restore(image):
            return by_sadct(image, luminance, chrominance)

        found.append(_method(SADCT, restore, 0, UNTRAINED, f"{SADCT} {sadct.REVISION}"))
    for name, network in networks:
        if network.quality in (None, quality):
            budget = OFFICIAL if "official" in network.options else FLAGS.title
            parameters, identity = network.parameters, network.weights
            found.append(_method(name, network.restore, parameters, budget, identity))
    twins = repeated(method.name for method in found)
    require(not twins, f"several methods for quality {quality} are named {', '.join(twins)}")
    return found


def _method(name, restore, parameters, budget, identity) -> Method:
    identity = rows.identity(_REVISION, identity, budget, PIL.__version__, FLAGS.lpips)
    return Method(name, restore, parameters, budget, identity)


def _networks() -> list[tuple[str, Restorer]]:
    """The exports that --models names, loaded; raises UsageError."""
    found = []
    for entry in FLAGS.models:
        name, colon, path = entry.partition(":")
        require(bool(colon and name and path), f"--models={entry}: expected NAME:EXPORT")
        require(name not in METHODS, f"--models={entry}: {name} is the name of a method")
        with naming("models"):
            network = Restorer(path)
        wanted = CHANNELS[FLAGS.channels]
        require(
            network.channels == wanted,
            f"--models={entry}: a network for {network.channels} channels, --channels="
            f"{FLAGS.channels} needs {wanted}",
        )
        found.append((name, network))
    return found


def _qualities() -> list[int]:
    """The qualities asked for; raises UsageError."""
    try:
        qualities = [int(text) for text in FLAGS.qualities]
    except ValueError:
        qualities = []
    require(
        bool(qualities) and all(quality in jpeg.QUALITIES for quality in qualities),
        f"--qualities takes numbers from 1 to 100, got {','.join(FLAGS.qualities)}",
    )
    return qualities


def _version() -> str:
    return f"lossylab {lossylab.__version__}, TensorFlow {tf.__version__}, Pillow {PIL.__version__}"


def _note_command(out: pathlib.Path, argv: list[str]) -> None:
    """Keeps the commands that made the rows, and the newest one's software, beside them."""
    place = out / "about.json"
    before = json.loads(place.read_text())["commands"] if place.exists() else []
    command = shlex.join(["lossylab", "eval", *argv])
    commands = [*(known for known in before if known != command), command]
    text = json.dumps({"commands": commands, "environment": environment()}, indent=1)
    write_text(place, text + "\n")


def _write_crops(methods, quality, images, shares) -> None:
    """Crops of all methods at equal places, labeled with PSNR and SSIM of the images."""
    out, found = make_folder(FLAGS.crops), {}
    for _, path in _each(images):
        true, stem = read_planes(path, CHANNELS[FLAGS.channels]), pathlib.Path(path).stem
        damaged = jpeg.degrade(true, quality)
        place = crop_grid.window(*true.shape[:2], FLAGS.size, shares)
        items = [crop_grid.write(out, f"{stem}_original.png", true[place], "original")]
        for method in methods:
            restored = method.restore(damaged)
            similarity = float(ssim(true[None], restored[None])[0])
            label = f"{method.name}\n{psnr(true, restored):.2f} dB / {similarity:.4f}"
            items.append(crop_grid.write(out, f"{stem}_{method.name}.png", restored[place], label))
        found[stem] = items
    title = f"JPEG q = {quality}, PSNR / SSIM (Gaussian 11). {FLAGS.title}"
    crop_grid.write_index(out, title, found)


def _measure_sets(out, features, methods, images) -> None:
    """Inception Score and FID of whole sets."""
    with contextlib.closing(rows.Rows(out / "sets.csv", SET_COLUMNS)) as table:
        for name, paths in images.items():
            inception.warn_if_few(len(paths))
            true = [read_planes(path, CHANNELS[FLAGS.channels]) for path in paths]
            reference = features(true)
            for quality, some in methods.items():
                for method in some:
                    restored = features([method.restore(jpeg.degrade(t, quality)) for t in true])
                    row = {
                        **{"method": method.name, "channels": FLAGS.channels, "quality": quality},
                        **{"data": name, "images": len(paths), "weights": FLAGS.inception},
                        "inception_score": inception.score(restored),
                        "fid": inception.frechet_distance(reference, restored),
                        **{"budget": method.budget, "version": _version()},
                        "identity": method.identity,
                    }
                    same = {k: str(row[k]) for k in ("method", "channels", "quality", "data")}
                    table.replace(r for r in table.rows if same.items() - r.items())
                    table.append(row)


if __name__ == "__main__":
    launch(main)
