"""Measures restoration of JPEG images: methods x qualities x images to rows."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import PIL
import tensorflow as tf
import tqdm

import lossylab
from lossylab.core import command, rows
from lossylab.core.digest import digest, weights_name
from lossylab.core.environment import environment, timed
from lossylab.core.errors import UsageError
from lossylab.core.files import make_folder
from lossylab.core.options import naming, repeated, require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.decode import DecodedFile
from lossylab.data.patches import check_sizes
from lossylab.eval.measurements import Measurements, Row, about, own_folder, write_about
from lossylab.eval.metrics import inception
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.ssim import ssim
from lossylab.eval.options.restoration import JPEG, RESTORE, SADCT, RestorationOptions, named
from lossylab.eval.report import budgets, crop_grid, tables
from lossylab.eval.restoration_protocols import PROTOCOLS, Measures, Protocol
from lossylab.eval.schemas import OFFICIAL, PERCEPTUAL, RESTORATION, RESTORED_SETS, UNTRAINED
from lossylab.eval.sharing import pipeline, shards
from lossylab.inference.export import restoring
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import Candidate, by_sadct
from lossylab.models import sadct

_REVISION = 2  # of how images are measured; 1: SSIM averaged in float32

Images = dict[str, list[str]]  # files of each set


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to restore images of one quality.

    Attributes:
      name: for the rows.
      restore: from a decoded file to the restored image, uint8 of the same shape.
      parameters: trainable weights.
      budget: of its training.
      identity: what decides its results.
    """

    name: str
    restore: Callable[[DecodedFile], np.ndarray]
    parameters: int
    budget: str
    identity: str


Methods = dict[int, list[Method]]  # by quality


def measure(options: RestorationOptions) -> pd.DataFrame:
    """Measures what is missing, writes rows and what else is asked for, prints the means.

    Returns:
      The rows of these methods and images.

    Raises:
      UsageError: if methods, images or weights do not fit each other.
    """
    images = _images(options)
    networks = _networks(options)
    measures = Measures(options)
    methods = {
        quality: _methods(options, quality, networks, measures) for quality in options.qualities
    }
    _refuse_unused(options, methods, networks)
    with naming("inception"):
        features = inception.Inception(options.inception) if options.inception else None
    out = own_folder(options.out, ("about.json",))
    with Measurements.of(out / "rows.csv", RESTORATION) as table:
        _supersede(options, table, methods, images)
        if options.beam is None:
            measured = _measure_images(options, table, methods, images, measures)
        else:
            opener = pipeline.Opener(alone, options)
            pipeline.fill(table, options.beam, options.out, RESTORATION, opener, images)
            current = _current(options, methods)
            measured = [
                row
                for row in table
                if row["data"] in images and current.get(_method(row)) == row["identity"]
            ]
    _write_about(options, networks)
    if options.crops_dir:
        quality = options.qualities[0]
        _write_crops(options, methods[quality], quality, images)
    if features is not None:
        _measure_sets(options, features, methods, images)
    found = rows.frame(measured, RESTORATION.text)
    sys.stdout.write(tables.markdown_table(means(found)) + "\n")
    command.written(out, "rows.csv, about.json", f"lossylab eval wcdgan --results={out}")
    return found


def _images(options: RestorationOptions) -> Images:
    """The files of each set; raises UsageError or ImageError if they cannot be measured."""
    images = {name: shards.part(find_images(name), options.shard) for name in options.data}
    crops = options.crop_size if options.crops_dir else 0
    smallest = max(Measures.smallest(options), crops)
    for name, paths in images.items():
        require_distinct("images", [pathlib.Path(path).stem for path in paths])
        paths[:] = check_sizes(paths, smallest, "the windows", options.skip_small)
        require(
            not options.inception or len(paths) > 1, f"`inception` needs more images than {name}'s"
        )
    return images


def means(table: pd.DataFrame) -> list[dict[str, str]]:
    """Mean values of each method, set and quality as lines of a table."""
    lines = []
    groups = table.groupby(["data", "channels", "quality", "method"], sort=False)
    for key, mine in sorted(groups, key=lambda group: group[0][:3]):
        data, channels, quality, method = key
        lines.append(
            {
                **{"set": data, "channels": channels, "q": str(quality), "method": method},
                "PSNR, dB": tables.number(mine.psnr.mean(), 2),
                "SSIM, Gaussian 11": tables.number(mine.ssim.mean(), 4),
                "SSIM, uniform 8": tables.number(mine.ssim_uniform.mean(), 4),
                "PSNR-B, dB": tables.number(mine.psnr_b.mean(), 2),
                "s per image": tables.number(mine.seconds.mean(), 2),
                "images": str(len(mine)),
            }
        )
    return lines


def alone(options: RestorationOptions, data: str) -> pipeline.Measure:
    """What measures images of a set in a worker, see `pipeline.Opener`."""
    networks, measures = _networks(options), Measures(options)
    methods = {
        quality: _methods(options, quality, networks, measures) for quality in options.qualities
    }

    def measure(path: str, known: Sequence[Row]) -> tuple[list[Row], list[str]]:
        images = {data: [path]}
        missing = functools.partial(
            _measure_images, options, methods=methods, images=images, measures=measures
        )
        return pipeline.alone(RESTORATION, path, known, missing)

    return measure


def _current(options: RestorationOptions, methods: Methods) -> dict[tuple[str, ...], str]:
    """The identities of methods by `_method`."""
    return {
        (method.name, view, str(quality)): method.identity
        for quality, some in methods.items()
        for method in some
        for view in PROTOCOLS[options.channels].views
    }


def _method(row: Row) -> tuple[str, ...]:
    return row["method"], row["channels"], row["quality"]


def _supersede(
    options: RestorationOptions, table: Measurements, methods: Methods, images: Images
) -> None:
    """Supersedes rows that these methods and images would not give."""
    current = _current(options, methods)
    names = {data: {pathlib.Path(path).stem for path in paths} for data, paths in images.items()}

    def is_old(row: Row) -> bool:
        gone = row["image"] not in names.get(row["data"], {row["image"]})
        return gone or current.get(_method(row), row["identity"]) != row["identity"]

    table.supersede(is_old, "are of other weights, budgets, versions or images")


def _measure_images(
    options: RestorationOptions,
    table: Measurements,
    methods: Methods,
    images: Images,
    measures: Measures,
) -> list[Row]:
    """The rows of all methods and images; those that are missing are measured."""
    protocol = PROTOCOLS[options.channels]
    measured = []
    total = sum(map(len, methods.values())) * sum(map(len, images.values()))
    quiet = options.beam is not None
    with tqdm.tqdm(total=total, unit="image", desc="measuring", disable=quiet) as bar:
        for name, path in _each(images):
            clean = protocol.read(path)
            content = digest(clean)[:16]
            common = {"data": name, "image": pathlib.Path(path).stem}
            for quality, some in methods.items():
                degraded = functools.cache(functools.partial(protocol.degrade, clean, quality))
                for method in some:
                    restore = functools.cache(functools.partial(_restore, method, degraded))
                    for channels, view in protocol.views.items():
                        row = table.get_or_measure(
                            {**common, "method": method.name, "quality": quality}
                            | {"channels": channels},
                            {"identity": method.identity, "content": content},
                            functools.partial(_measure, method, clean, restore, view, measures),
                        )
                        measured.append(row)
                    bar.update()
    return measured


def _each(images: Images) -> Iterator[tuple[str, str]]:
    """Every image with the name of its set."""
    return ((name, path) for name, paths in images.items() for path in paths)


def _restore(method: Method, degraded: Callable[[], DecodedFile]) -> tuple[np.ndarray, float]:
    """What a method makes of an image, and milliseconds."""
    decoded = degraded()
    restored, milliseconds = timed(method.restore, decoded)
    if restored.shape != decoded.pixels.shape:
        raise UsageError(f"{method.name} made {restored.shape} of {decoded.pixels.shape}")
    return restored, milliseconds


def _measure(
    method: Method,
    clean: np.ndarray,
    restore: Callable[[], tuple[np.ndarray, float]],
    view: Callable[[np.ndarray], np.ndarray],
    measures: Measures,
) -> dict[str, Any]:
    """A row but for what names and decides it."""
    image, milliseconds = restore()
    clean, restored = view(clean), view(image)
    return {
        **{"width": clean.shape[1], "height": clean.shape[0]},
        **measures(clean, restored),
        "seconds": milliseconds / 1000,
        **{"parameters": method.parameters, "budget": method.budget, "version": _version()},
    }


def _refuse_unused(
    options: RestorationOptions, methods: Methods, networks: list[tuple[str, Restorer]]
) -> None:
    """Raises UsageError if a model is for none of the qualities, or nothing is to be measured."""
    used = {method.name for some in methods.values() for method in some}
    chosen = RESTORE in options.methods
    unused = [name for name, _ in networks if name not in used and not chosen]
    require(not unused, f"`models`: {', '.join(unused)} is for none of the `qualities`")
    require(bool(used), "nothing to measure: give `methods` or `models`")


def _methods(
    options: RestorationOptions,
    quality: int,
    networks: list[tuple[str, Restorer]],
    measures: Measures,
) -> list[Method]:
    """All methods that can restore images of a quality."""
    found = []
    protocol = PROTOCOLS[options.channels]

    def add(
        name: str,
        restore: Callable[[DecodedFile], np.ndarray],
        parameters: int,
        budget: str,
        decides: str,
    ) -> None:
        identity = rows.identity(_REVISION, decides, budget, PIL.__version__, *measures.decides)
        found.append(Method(name, restore, parameters, budget, identity))

    if JPEG in options.methods:
        add(JPEG, lambda decoded: decoded.pixels, 0, "", JPEG)
    if SADCT in options.methods:
        add(
            SADCT,
            _by_sadct,
            0,
            UNTRAINED,
            f"{SADCT} {sadct.REVISION}",
        )
    for name, network in networks:
        if network.quality in (None, quality):
            budget = OFFICIAL if "official" in network.options else options.budget
            if seen := network.options.get("perceptual_features"):
                budget += f"; {PERCEPTUAL} {seen}"
            restore = functools.partial(protocol.restore, network)
            add(name, restore, network.parameters, budget, network.identity)
    if RESTORE in options.methods:
        chosen = _Chosen([network for _, network in networks])
        add(RESTORE, chosen, chosen.parameters, options.budget, chosen.identity)
    same = repeated(method.name for method in found)
    require(not same, f"several methods for quality {quality} are named {', '.join(same)}")
    return found


class _Chosen:
    """What `lossylab restore` makes of a file by the networks that it may choose among.

    Attributes:
      parameters: of the largest network.
      identity: what decides its results.
    """

    def __init__(self, networks: list[Restorer]):
        """Takes the networks that were loaded, or without any those that have names."""
        self._among = (
            [Candidate.of(network.path) for network in networks] if networks else restoring.named()
        )
        self._loaded = {network.path: network for network in networks}
        self.parameters = max((each.parameters for each in self._among), default=0)
        weights = sorted(each.weights for each in self._among)
        self.identity = f"{RESTORE} {restoring.REVISION} {sadct.REVISION} {' '.join(weights)}"

    def __call__(self, decoded: DecodedFile) -> np.ndarray:
        """The restored image; left as it is if nothing improves it."""
        coding, image = decoded.coding, decoded.pixels
        if coding is None:
            raise ValueError("networks are chosen for JPEG files only")
        how = decoded.upright, (SADCT, None)
        choice = restoring.choose(self._among, coding, image.shape[2], *how)
        return restoring.apply(choice.model, image, coding, self._load)

    def _load(self, path: str) -> Restorer:
        if path not in self._loaded:
            self._loaded[path] = Restorer(path)
        return self._loaded[path]


def _by_sadct(decoded: DecodedFile) -> np.ndarray:
    if decoded.coding is None:
        raise ValueError("SA-DCT restores JPEG files only")
    return by_sadct(decoded.pixels, decoded.coding)


def _networks(options: RestorationOptions) -> list[tuple[str, Restorer]]:
    """The exports that are asked for, loaded; raises UsageError."""
    found, wanted = [], PROTOCOLS[options.channels].channels
    for name, path in named("models", options.models):
        with naming("models"):
            network = Restorer(path)
        require(
            wanted in (None, network.channels),
            f"`models`: {name} is a network for {network.channels} channels, `channels`="
            f"{options.channels} needs {wanted}",
        )
        found.append((name, network))
    return found


def _version() -> str:
    return f"lossylab {lossylab.__version__}, TensorFlow {tf.__version__}, Pillow {PIL.__version__}"


def _write_about(options: RestorationOptions, networks: list[tuple[str, Restorer]]) -> None:
    """Keeps the commands that made the rows, and the newest one's software, beside them."""
    trained = {}
    for name, network in networks:
        known = network.options
        smaller = any(known.get(each) for each in ("filters", "blocks", "layers"))
        counted = {**known, "size": int(not smaller)}  # 1 for that of the papers
        begun = {"begun": int(bool(known.get("init_from")))}  # with another training's network
        key = f"{name} {options.channels} {known.get('quality')}"
        trained[key] = budgets.counted("wcdgan", [counted]) | begun
    before = about(options.out).get("commands", [])
    now = shlex.join(environment()["command"])
    commands = [*(each for each in before if each != now), now]
    facts = {**shards.said(options.shard, options.beam), "commands": commands}
    write_about(options.out, {**facts, **budgets.beside_others(options.out, trained)})


def _write_crops(
    options: RestorationOptions, methods: list[Method], quality: int, images: Images
) -> None:
    """Crops of all methods at equal places, labeled with PSNR and SSIM of the images."""
    out, found = make_folder(str(options.crops_dir)), {}
    protocol = PROTOCOLS[options.channels]
    for _, path in _each(images):
        clean, stem = protocol.read(path), pathlib.Path(path).stem
        degraded = protocol.degrade(clean, quality)
        height, width = clean.shape[:2]
        window = crop_grid.window(height, width, options.crop_size, options.center)
        items = [crop_grid.Tile(clean[window], "original")]
        for method in methods:
            restored = method.restore(degraded)
            similarity = float(ssim(clean[None], restored[None])[0])
            label = f"{method.name}\n{psnr(clean, restored):.2f} dB / {similarity:.4f}"
            items.append(crop_grid.Tile(restored[window], label))
        found[stem] = items
    title = f"JPEG q = {quality}, PSNR / SSIM (Gaussian 11). {options.budget}"
    crop_grid.write(out, title, found)


def _measure_sets(
    options: RestorationOptions,
    features: inception.Inception,
    methods: Methods,
    images: Images,
) -> None:
    """Inception Score and FID of whole sets."""
    path, protocol = pathlib.Path(options.out) / "sets.csv", PROTOCOLS[options.channels]
    with Measurements.of(path, RESTORED_SETS) as table:
        for name, paths in images.items():
            inception.warn_if_few(len(paths))
            clean = [protocol.read(path) for path in paths]
            content = rows.identity(weights_name(options.inception), *map(digest, clean))
            reference = functools.cache(functools.partial(features, clean))
            for quality, some in methods.items():
                for method in some:
                    key = {"method": method.name, "channels": options.channels}
                    table.get_or_measure(
                        {**key, "quality": quality, "data": name},
                        {
                            "identity": rows.identity(method.identity, content),
                            "weights": options.inception,
                        },
                        functools.partial(
                            _measure_set, method, quality, clean, features, reference, protocol
                        ),
                    )


def _measure_set(
    method: Method,
    quality: int,
    clean: list[np.ndarray],
    features: inception.Inception,
    reference: Callable[[], inception.Features],
    protocol: Protocol,
) -> dict[str, Any]:
    degraded = (protocol.degrade(image, quality) for image in clean)
    restored = features(map(method.restore, degraded))
    return {
        "images": len(clean),
        "inception_score": inception.score(restored),
        "fid": inception.frechet_distance(reference(), restored),
        **{"budget": method.budget, "version": _version()},
    }


if __name__ == "__main__":
    command.as_program(RestorationOptions, measure, "lossylab eval restoration")
