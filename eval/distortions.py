"""How like real distortions generated ones are: divergences of natural scene statistics as rows."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import PIL
import tqdm

from lossylab.core import command, rows
from lossylab.core.digest import digest
from lossylab.core.environment import timed
from lossylab.core.errors import UsageError
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import naming, repeated, require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.eval import severity_search
from lossylab.eval.measurements import Measurements, Row, own_folder, write_about
from lossylab.eval.metrics import nss, residuals
from lossylab.eval.options.distortions import REAL, UNTOUCHED, DistortionsOptions, named
from lossylab.eval.report import budgets, crop_grid, tables
from lossylab.eval.schemas import DIVERGENCES
from lossylab.eval.sharing import pipeline, shards
from lossylab.inference.export.distorter import Distorter

_REVISION = 3  # of how images are measured; 2: blockiness of blocks at the image's corner
# The protocol's words when the first rows were measured.
_DECIDES = nss.PROTOCOL.replace("standard deviation", "deviation")
_OTHER_SEED = 1  # real noise is compared with noise of another seed


@dataclasses.dataclass(frozen=True)
class Maker:
    """What makes distorted images.

    Attributes:
      name: for the rows.
      make: from a path and its image to the distorted one.
      parameters: trainable weights.
      budget: of its training.
      identity: what decides its results.
      trained: what counts of its training, see `budgets`.
    """

    name: str
    make: Callable[[str, np.ndarray], np.ndarray]
    parameters: int
    budget: str
    identity: str
    trained: dict[str, int] = dataclasses.field(default_factory=dict)


def measure(options: DistortionsOptions) -> pd.DataFrame | None:
    """Measures what is missing and prints the means; or searches, or writes crops.

    Returns:
      The rows of all makers and images, if they were asked for.

    Raises:
      UsageError: if models or images do not fit each other, or severities make no sense.
    """
    severities = _severities(options)
    paths = shards.part(find_images(options.data), options.shard)
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    smallest = max(2, options.crop_size if options.crops_dir else 2)
    paths = check_sizes(paths, smallest, "the crops", options.skip_small)
    if options.search:
        text = severity_search.search(paths)
        write_text(make_folder(options.out) / "severity.csv", text)
        sys.stdout.write("".join(line + "\n" for line in text.splitlines()[:6]))
        return None
    models = _models(options)
    if options.crops_dir:
        _write_crops(options, models, paths)
        return None
    out = own_folder(options.out, ("about.json",))
    with Measurements.of(out / "rows.csv", DIVERGENCES) as table:
        makers = [*models, *_real_distortions(severities), _untouched()]
        _supersede(options, table, makers, paths)
        if options.beam is None:
            measured = _measure_all(options, table, makers, paths)
        else:
            images = {options.data: paths}
            opener = pipeline.Opener(alone, options)
            pipeline.fill(table, options.beam, options.out, DIVERGENCES, opener, images)
            names = {maker.name for maker in makers}
            measured = [
                row for row in table if row["data"] == options.data and row["generated"] in names
            ]
    write_about(
        out,
        {
            "data": options.data,
            **shards.said(options.shard, options.beam),
            "protocol": nss.PROTOCOL,
            "severities": severities,
            **budgets.beside_others(options.out, {each.name: each.trained for each in models}),
        },
    )
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")
    command.written(out, "rows.csv, about.json", f"lossylab eval distortion_gan --results={out}")
    return rows.frame(measured, DIVERGENCES.text)


def _severities(options: DistortionsOptions) -> dict[str, float]:
    """The severity of each real distortion, as given or its own; raises UsageError."""
    found = {name: kind.severity for name, kind in DISTORTIONS.items()}
    for text in options.severities:
        name, _, value = text.partition("=")
        try:
            severity = float(value)
            distort(np.zeros((8, 8, 3), np.uint8), name, severity)
        except ValueError as error:
            raise UsageError(f"`severities` takes NAME=VALUE, got {text}: {error}") from error
        # Whole numbers as the distortions' own: identities of rows tell 40 from 40.0.
        found[name] = int(severity) if severity.is_integer() else severity
    return found


def _models(options: DistortionsOptions) -> list[Maker]:
    makers, severities = [], _severities(options)
    for name, path in named("models", options.models):
        with naming("models"):
            network = Distorter(path)
        _check_severity(name, network.options, severities)
        makers.append(
            Maker(
                name,
                lambda path, image, network=network: network.distort(image, noise_seed(path)),
                network.parameters,
                options.budget,
                _identity(network.weights, options.budget),
                budgets.counted("distortion_gan", [network.options]),
            )
        )
    same = repeated(maker.name for maker in makers)
    require(not same, f"`models`: several are called {', '.join(same)}")
    return makers


def _check_severity(name: str, options: dict, severities: dict[str, float]) -> None:
    """Refuses models that were trained for other severities than they are measured against."""
    kind, trained = options.get("distortion", ""), options.get("severity")
    if kind not in DISTORTIONS or trained is None:
        return
    require(
        trained == severities[kind],
        f"`models`: {name} was trained for {DISTORTIONS[kind].said(trained)}, the real distortion "
        f"has {severities[kind]:g}: give `severities`={kind}={trained:g}",
    )


def _real_distortions(severities: dict[str, float]) -> list[Maker]:
    """The real distortions, noise of another seed than what is compared with."""
    return [
        Maker(
            REAL + name,
            lambda path, image, name=name, severity=severity: distort(
                image, name, severity, noise_seed(path) ^ _OTHER_SEED
            ),
            0,
            "",
            _identity(name, severity),
        )
        for name, severity in severities.items()
    ]


def _untouched() -> Maker:
    return Maker(UNTOUCHED, lambda path, image: image, 0, "", _identity())


def _identity(*parts: object) -> str:
    """Names what decides a maker's rows; Pillow makes the real JPEG and JPEG 2000."""
    return rows.identity(*parts, _DECIDES, _REVISION, PIL.__version__)


def alone(options: DistortionsOptions, data: str) -> pipeline.Measure:
    """What measures images in a worker, see `pipeline.Opener`."""
    del data
    makers = [*_models(options), *_real_distortions(_severities(options)), _untouched()]

    def measure(path: str, known: Sequence[Row]) -> tuple[list[Row], list[str]]:
        missing = functools.partial(_measure_all, options, makers=makers, paths=[path])
        return pipeline.alone(DIVERGENCES, path, known, missing)

    return measure


def _texts(severities: dict[str, float]) -> dict[str, str]:
    """As rows have them."""
    return {name: f"{severity:g}" for name, severity in severities.items()}


def _supersede(
    options: DistortionsOptions, table: Measurements, makers: Sequence[Maker], paths: Sequence[str]
) -> None:
    """Supersedes rows that these makers and images would not give.

    Those of other severities too, of whatever data: means are over all rows of a folder.
    """
    current = {maker.name: maker.identity for maker in makers}
    names, severities = {pathlib.Path(path).stem for path in paths}, _texts(_severities(options))

    def is_old(row: Row) -> bool:
        gone = row["data"] == options.data and row["image"] not in names
        changed = row["severity"] != severities.get(row["reference"])
        other = row["identity"] != current.get(row["generated"], row["identity"])
        return gone or changed or other

    table.supersede(is_old, "are of other weights, severities, budgets or images")


def _measure_all(
    options: DistortionsOptions,
    table: Measurements,
    makers: Sequence[Maker],
    paths: Sequence[str],
) -> list[Row]:
    """The rows of all makers, real distortions and images; those that are missing are measured."""
    data, severities = options.data, _severities(options)
    quiet = options.beam is not None
    measured = []
    for path in tqdm.tqdm(paths, unit="image", desc="measuring", disable=quiet):
        image = read_image(path)
        content = digest(image)[:16]
        references = functools.cache(functools.partial(_references, path, image, severities))
        for maker in makers:
            generated = functools.cache(functools.partial(_generate, maker, path, image))
            for name, severity in _texts(severities).items():
                row = table.get_or_measure(
                    {
                        **{"generated": maker.name, "reference": name, "severity": severity},
                        **{"data": data, "image": pathlib.Path(path).stem},
                    },
                    {"identity": maker.identity, "content": content},
                    functools.partial(_measure, maker, image, name, generated, references),
                )
                measured.append(row)
    return measured


@dataclasses.dataclass(frozen=True)
class _Distorted:
    """What is measured of a distorted image, whatever it is compared with."""

    histogram: np.ndarray
    residual: float
    measures: residuals.Residuals
    seconds: float = 0.0

    @classmethod
    def of(cls, image: np.ndarray, distorted: np.ndarray, seconds: float = 0.0) -> _Distorted:
        change = float(np.abs(distorted.astype(float) - image).mean())
        return cls(nss.histogram(distorted), change, residuals.measure(image, distorted), seconds)


@dataclasses.dataclass(frozen=True)
class _References:
    """What generated images are compared with: the image itself, and the real distortions."""

    untouched: np.ndarray
    real: dict[str, _Distorted]


def _generate(maker: Maker, path: str, image: np.ndarray) -> _Distorted:
    generated, milliseconds = timed(maker.make, path, image)
    return _Distorted.of(image, generated, milliseconds / 1000)


def _references(path: str, image: np.ndarray, severities: dict[str, float]) -> _References:
    real = {
        name: _Distorted.of(image, distort(image, name, severity, noise_seed(path)))
        for name, severity in severities.items()
    }
    return _References(nss.histogram(image), real)


def _measure(
    maker: Maker,
    image: np.ndarray,
    name: str,
    generated: Callable[[], _Distorted],
    references: Callable[[], _References],
) -> dict[str, Any]:
    """A row but for what names and decides it."""
    found, real, untouched = generated(), references().real[name], references().untouched
    return {
        **{"width": image.shape[1], "height": image.shape[0]},
        "jsd": nss.jensen_shannon(found.histogram, real.histogram),
        "untouched": nss.jensen_shannon(untouched, real.histogram),
        **_compared(found.measures, real.measures),
        **{"residual": found.residual, "seconds": found.seconds},
        **{"parameters": maker.parameters, "budget": maker.budget, "protocol": nss.PROTOCOL},
    }


def _compared(mine: residuals.Residuals, real: residuals.Residuals) -> dict[str, float | str]:
    """The columns `RESIDUALS`, but for the first."""
    values: dict[str, float | str] = {}
    for prefix, each in (("", mine), ("real_", real)):
        spectrum = each.spectrum
        values |= {
            f"{prefix}blockiness": each.blockiness,
            f"{prefix}high_frequency": each.high_frequency,
            f"{prefix}slope": spectrum.slope if spectrum else math.nan,
            f"{prefix}unevenness": spectrum.unevenness if spectrum else math.nan,
            f"{prefix}flatness": spectrum.flatness if spectrum else math.nan,
            f"{prefix}ringing": each.ringing,
            f"{prefix}std": each.std,
            f"{prefix}bands": _in_decibels(spectrum),
        }
    gap = mine.spectrum.gap(real.spectrum) if mine.spectrum and real.spectrum else math.nan
    return {**values, "spectrum_gap": gap}


def _in_decibels(spectrum: residuals.Spectrum | None) -> str:
    """The power of all bands, dB with blanks between, to draw; '' without a spectrum."""
    return "" if spectrum is None else " ".join(f"{10 * np.log10(p):.2f}" for p in spectrum.power)


def _means(measured: list[Row]) -> list[dict[str, str]]:
    """Mean divergences, a line for each maker."""
    groups = collections.defaultdict(list)
    for row in measured:
        groups[row["generated"], row["reference"]].append(float(row["jsd"]))
    makers = dict.fromkeys(row["generated"] for row in measured)
    return [
        {"generated": maker}
        | {name: tables.number(float(np.mean(groups[maker, name])), 4) for name in DISTORTIONS}
        for maker in makers
    ]


def _write_crops(options: DistortionsOptions, models: list[Maker], paths: list[str]) -> None:
    """Crops of reference, real and generated distortion and residual, by image and model."""
    out, severities = make_folder(options.crops_dir), _severities(options)
    images: dict[str, list[crop_grid.Tile]] = {}
    for path in paths:
        image, stem = read_image(path), pathlib.Path(path).stem
        height, width = image.shape[:2]
        window = crop_grid.window(height, width, options.crop_size, options.center)
        real = {
            name: distort(image, name, severity, noise_seed(path))
            for name, severity in severities.items()
        }
        for model in models:
            name = model.name.partition("_")[0]
            require(name in real, f"`models`: {model.name} does not begin with a distortion")
            generated = model.make(path, image)
            histograms = [nss.histogram(each) for each in (real[name], generated)]
            jsd = nss.jensen_shannon(*histograms)
            # Twice as strong, around middle gray: faint residuals are seen.
            residual = np.clip(128 + 2 * (generated.astype(int) - image), 0, 255).astype(np.uint8)
            facts = {"histograms": [np.round(each, 6).tolist() for each in histograms]}
            shown = [
                crop_grid.Tile(image[window], "original"),
                crop_grid.Tile(
                    real[name][window], f"{name}, {DISTORTIONS[name].said(severities[name])}"
                ),
                crop_grid.Tile(generated[window], f"{model.name}\nJSD {jsd:.4f}", facts),
                crop_grid.Tile(residual[window], "what was added, twice"),
            ]
            images[f"{stem}, {model.name}"] = shown
    crop_grid.write(out, options.budget, images)


if __name__ == "__main__":
    command.as_program(DistortionsOptions, measure, "lossylab eval distortions")
