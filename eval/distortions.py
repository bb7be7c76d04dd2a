"""How like true distortions generated ones are: divergences of natural scene statistics as rows."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import tqdm

from lossylab.core import command, rows
from lossylab.core.digest import digest
from lossylab.core.environment import timed
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import naming, repeated, require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.eval import severity_search
from lossylab.eval.measurements import Measurements, Row, write_about
from lossylab.eval.metrics import nss
from lossylab.eval.options.distortions import PRISTINE, TRUE, DistortionsOptions, named
from lossylab.eval.report import crop_grid, tables
from lossylab.inference.export.distorter import Distorter

COLUMNS = (
    *("generated", "reference", "severity", "data", "image", "width", "height", "jsd"),
    *("residual", "seconds", "parameters", "budget", "protocol", "identity", "content"),
)
TEXT = ("generated", "reference", "data", "image", "budget", "protocol", "identity", "content")
_KEY = ("generated", "reference", "severity", "data", "image")
_OTHER_SEED = 1  # true noise is compared with noise of another seed


@dataclasses.dataclass(frozen=True)
class Maker:
    """What makes distorted images.

    Attributes:
      name: for the rows.
      make: from a path and its image to the distorted one.
      parameters: trainable weights.
      budget: of its training.
      identity: what decides its results.
    """

    name: str
    make: Callable[[str, np.ndarray], np.ndarray]
    parameters: int
    budget: str
    identity: str


def measure(options: DistortionsOptions) -> pd.DataFrame | None:
    """Measures what is missing and prints the means; or searches, or writes crops.

    Returns:
      The rows of all makers and images, if they were asked for.

    Raises:
      UsageError: if models or images do not fit each other.
    """
    paths = find_images(options.data)
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    smallest = max(2, options.size if options.crops else 2)
    paths = check_sizes(paths, smallest, "the crops", options.skip_small)
    if options.search:
        text = severity_search.search(paths)
        write_text(make_folder(options.out) / "severity.csv", text)
        sys.stdout.write("".join(line + "\n" for line in text.splitlines()[:6]))
        return None
    models = _models(options)
    if options.crops:
        _write_crops(options, models, paths)
        return None
    out = make_folder(options.out)
    with Measurements(out / "rows.csv", COLUMNS, _KEY, ("identity", "content")) as table:
        makers = [*models, *_true_distortions(), _pristine()]
        measured = _measure_all(options.data, table, makers, paths)
    write_about(out, {"data": options.data, "protocol": nss.PROTOCOL})
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")
    return rows.frame(measured, TEXT)


def _models(options: DistortionsOptions) -> list[Maker]:
    makers = []
    for name, path in named("models", options.models):
        with naming("models"):
            network = Distorter(path)
        _check_severity(name, network.options)
        makers.append(
            Maker(
                name,
                lambda path, image, network=network: network.distort(image),
                network.parameters,
                options.title,
                rows.identity(network.weights, nss.PROTOCOL, options.title),
            )
        )
    same = repeated(maker.name for maker in makers)
    require(not same, f"`models`: several are called {', '.join(same)}")
    return makers


def _check_severity(name: str, options: dict) -> None:
    """Refuses models that were trained for other severities than they are measured against."""
    kind = DISTORTIONS.get(options.get("distortion", ""))
    trained = options.get("severity")
    require(
        kind is None or trained in (None, kind.severity),
        f"`models`: {name} was trained for severity {trained}, true distortions here have "
        f"{kind.severity if kind else ''}",
    )


def _true_distortions() -> list[Maker]:
    """The true distortions, noise of another seed than what is compared with."""
    return [
        Maker(
            TRUE + name,
            lambda path, image, name=name: distort(
                image, name, seed=noise_seed(path) ^ _OTHER_SEED
            ),
            0,
            "",
            rows.identity(name, kind.severity, nss.PROTOCOL),
        )
        for name, kind in DISTORTIONS.items()
    ]


def _pristine() -> Maker:
    return Maker(PRISTINE, lambda path, image: image, 0, "", rows.identity(nss.PROTOCOL))


def _measure_all(
    data: str, table: Measurements, makers: list[Maker], paths: list[str]
) -> list[Row]:
    """The rows of all makers, true distortions and images; those that are missing are measured."""
    severities = {name: f"{kind.severity:g}" for name, kind in DISTORTIONS.items()}
    current = {maker.name: maker.identity for maker in makers}

    def is_old(row: Row) -> bool:
        changed = row["severity"] != severities.get(row["reference"])
        return changed or row["identity"] != current.get(row["generated"], row["identity"])

    table.supersede(is_old, "are of other weights, severities or budgets")
    measured = []
    for path in tqdm.tqdm(paths, unit="image", desc="measuring"):
        image = read_image(path)
        content = digest(image)[:16]
        references = functools.cache(functools.partial(_histograms, path, image))
        for maker in makers:
            generated = functools.cache(functools.partial(_generate, maker, path, image))
            for name, severity in severities.items():
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
class _Generated:
    """What a maker made of an image: its histogram, mean change and time."""

    histogram: np.ndarray
    residual: float
    seconds: float


def _generate(maker: Maker, path: str, image: np.ndarray) -> _Generated:
    generated, milliseconds = timed(maker.make, path, image)
    residual = float(np.abs(generated.astype(float) - image).mean())
    return _Generated(nss.histogram(generated), residual, milliseconds / 1000)


def _histograms(path: str, image: np.ndarray) -> dict[str, np.ndarray]:
    return {
        name: nss.histogram(distort(image, name, seed=noise_seed(path))) for name in DISTORTIONS
    }


def _measure(
    maker: Maker,
    image: np.ndarray,
    name: str,
    generated: Callable[[], _Generated],
    references: Callable[[], dict[str, np.ndarray]],
) -> dict[str, Any]:
    """A row but for what names and decides it."""
    found = generated()
    return {
        **{"width": image.shape[1], "height": image.shape[0]},
        "jsd": nss.jensen_shannon(found.histogram, references()[name]),
        **{"residual": found.residual, "seconds": found.seconds},
        **{"parameters": maker.parameters, "budget": maker.budget, "protocol": nss.PROTOCOL},
    }


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
    """Crops of reference, true and generated distortion and residual, by image and model."""
    out = make_folder(options.crops)
    images: dict[str, list[dict]] = {}
    for path in paths:
        image, stem = read_image(path), pathlib.Path(path).stem
        height, width = image.shape[:2]
        window = crop_grid.window(height, width, options.size, options.at)
        true = {name: distort(image, name, seed=noise_seed(path)) for name in DISTORTIONS}
        for model in models:
            name = model.name.partition("_")[0]
            require(name in true, f"`models`: {model.name} does not begin with a distortion")
            generated = model.make(path, image)
            histograms = [nss.histogram(each) for each in (true[name], generated)]
            jsd = nss.jensen_shannon(*histograms)
            # Twice as strong, around middle gray: faint residuals are seen.
            residual = np.clip(128 + 2 * (generated.astype(int) - image), 0, 255).astype(np.uint8)
            shown = {
                "original": ("original", image),
                "true": (f"{name}, severity {DISTORTIONS[name].severity:g}", true[name]),
                "generated": (f"{model.name}\nJSD {jsd:.4f}", generated),
                "residual": ("what was added, twice", residual),
            }
            entry = images.setdefault(f"{stem}, {model.name}", [])
            for word, (label, whole) in shown.items():
                file = f"{stem}_{model.name}_{word}.png"
                entry.append(crop_grid.write(out, file, whole[window], label))
            entry[2]["histograms"] = [np.round(each, 6).tolist() for each in histograms]
    crop_grid.write_index(out, options.title, images)


if __name__ == "__main__":
    command.as_program(DistortionsOptions, measure, "lossylab eval distortions")
