"""How like true distortions generated ones are: divergences of natural scene statistics as rows.

  lossylab eval distortions --models=jpeg:study/runs/jpeg/export,white:study/runs/white/export \\
      --data=kodak --title="small budget: ..." --out=results/distortion_gan
  lossylab eval distortions --search --data=kodak --out=results/distortion_gan

Each model's images, the four true distortions and the pristine images are compared with the
four true distortions: a row an image has the Jensen-Shannon divergence of the histograms of
products of adjacent MSCN coefficients (Sec. III-B). --sheets writes crops and histograms for
figures instead. --search measures how far the true distortions are apart for a grid of
severities and writes severity.csv, nearest to the paper's Table I first. Killed and given again,
the command computes nothing twice. `lossylab eval distortion_gan` makes tables, figures and claims.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import tqdm
from absl import flags

from lossylab.core import rows
from lossylab.core.app import launch, new_flags, parse, repeated, require, require_distinct, timed
from lossylab.core.digest import digest
from lossylab.core.environment import environment
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import naming
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.eval import severity_search
from lossylab.eval.metrics import nss
from lossylab.eval.report import crop_grid, tables
from lossylab.inference.export.distorter import Distorter

COLUMNS = (
    *("made", "truth", "severity", "data", "image", "width", "height", "jsd", "residual"),
    *("seconds", "parameters", "budget", "protocol", "identity", "content"),
)
TEXT = ("made", "truth", "data", "image", "budget", "protocol", "identity", "content")
TRUE = "true "  # before the name of a true distortion among what is made
PRISTINE = "pristine"
_OTHER_SEED = 1  # true noise is compared with noise of another seed

FLAGS = new_flags()
flags.DEFINE_list("models", [], "NAME:EXPORT each.", flag_values=FLAGS)
flags.DEFINE_string("data", "kodak", "Images to measure on.", flag_values=FLAGS)
flags.DEFINE_string("title", None, "Budget of the models, for the rows.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder of rows.csv.", flag_values=FLAGS)
flags.DEFINE_bool("search", False, "Only search for severities.", flag_values=FLAGS)
flags.DEFINE_string(
    "sheets", None, "Only write crops of the models' images to this folder.", flag_values=FLAGS
)
flags.DEFINE_integer("size", 160, "Side of these crops in pixels.", 16, flag_values=FLAGS)
flags.DEFINE_list("at", ["0.5", "0.5"], "Their center: shares of width, height.", flag_values=FLAGS)


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


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out or FLAGS.sheets), "--out is needed: the folder of the rows")
    require(bool(FLAGS.title or not FLAGS.models), "--title is needed: the models' budget")
    paths = find_images(FLAGS.data)
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    check_sizes(paths, max(2, FLAGS.size if FLAGS.sheets else 2))
    if FLAGS.search:
        text = severity_search.search(paths)
        write_text(make_folder(FLAGS.out) / "severity.csv", text)
        sys.stdout.write("".join(line + "\n" for line in text.splitlines()[:6]))
        return
    models = _models()
    if FLAGS.sheets:
        _write_sheets(models, paths)
        return
    out = make_folder(FLAGS.out)
    with contextlib.closing(rows.Rows(out / "rows.csv", COLUMNS)) as table:
        measured = _measure_all(table, [*models, *_truths(), _pristine()], paths)
    about = {"data": FLAGS.data, "protocol": nss.PROTOCOL, **environment()}
    write_text(out / "about.json", json.dumps(about, indent=1) + "\n")
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")


def _models() -> list[Maker]:
    makers = []
    for text in FLAGS.models:
        name, colon, path = text.partition(":")
        require(bool(name and colon and path), f"--models takes NAME:EXPORT, got {text}")
        with naming("models"):
            network = Distorter(path)
        _check_severity(name, network.options)
        makers.append(
            Maker(
                name,
                lambda path, image, network=network: network.distort(image),
                network.parameters,
                FLAGS.title,
                rows.identity(network.weights, nss.PROTOCOL, FLAGS.title),
            )
        )
    twins = repeated(maker.name for maker in makers)
    require(not twins, f"--models: several are called {', '.join(twins)}")
    taken = [m.name for m in makers if m.name == PRISTINE or m.name.startswith(TRUE)]
    require(not taken, f"--models: '{', '.join(taken)}' is the name of something else")
    return makers


def _check_severity(name: str, options: dict) -> None:
    """Refuses models that were trained for other severities than they are measured against."""
    kind = DISTORTIONS.get(options.get("distortion"))
    trained = options.get("severity")
    require(
        kind is None or trained in (None, kind.severity),
        f"--models: {name} was trained for severity {trained}, true distortions here have "
        f"{kind.severity if kind else ''}",
    )


def _truths() -> list[Maker]:
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


def _measure_all(table: rows.Rows, makers: list[Maker], paths: list[str]) -> list[dict[str, str]]:
    """The rows of all makers, truths and images; those that are missing are measured."""
    severities = {name: f"{kind.severity:g}" for name, kind in DISTORTIONS.items()}
    current = {maker.name: maker.identity for maker in makers}

    def is_old(row):
        mine = current.get(row["made"])
        changed = row["severity"] != severities.get(row["truth"])
        return changed or (mine is not None and row["identity"] != mine)

    table.set_aside(is_old, "are of other weights, severities or budgets")
    known = {_key(row): row for row in table.rows}
    measured = []
    for path in tqdm.tqdm(paths, unit="image", desc="measuring"):
        image = read_image(path)
        place = {"data": FLAGS.data, "image": pathlib.Path(path).stem}
        place["content"] = digest(image)[:16]
        truths: dict[str, np.ndarray] = {}
        for maker in makers:
            mine = [
                {**place, "made": maker.name, "identity": maker.identity}
                | {"truth": truth, "severity": severity}
                for truth, severity in severities.items()
            ]
            if any(_key(row) not in known for row in mine):
                if not truths:
                    truths = _histograms(path, image)
                for row in _measure(maker, mine, path, image, truths):
                    known.setdefault(_key(row), None)
                    if known[_key(row)] is None:
                        known[_key(row)] = table.append(row)
            measured += [known[_key(row)] for row in mine]
    return measured


def _key(row: dict) -> tuple:
    names = ("made", "truth", "severity", "data", "image", "content", "identity")
    return tuple(str(row[name]) for name in names)


def _histograms(path: str, image: np.ndarray) -> dict[str, np.ndarray]:
    return {
        name: nss.histogram(distort(image, name, seed=noise_seed(path))) for name in DISTORTIONS
    }


def _measure(maker, places, path, image, truths):
    made, milliseconds = timed(maker.make, path, image)
    histogram = nss.histogram(made)
    for place in places:
        yield {
            **place,
            **{"width": image.shape[1], "height": image.shape[0]},
            "jsd": nss.jensen_shannon(histogram, truths[place["truth"]]),
            "residual": float(np.abs(made.astype(float) - image).mean()),
            "seconds": milliseconds / 1000,
            **{"parameters": maker.parameters, "budget": maker.budget, "protocol": nss.PROTOCOL},
        }


def _means(measured: list[dict[str, str]]) -> list[dict[str, str]]:
    """Mean divergences, a line for each maker."""
    groups = collections.defaultdict(list)
    for row in measured:
        groups[row["made"], row["truth"]].append(float(row["jsd"]))
    makers = dict.fromkeys(row["made"] for row in measured)
    return [
        {"made": made, **{t: tables.number(np.mean(groups[made, t]), 4) for t in DISTORTIONS}}
        for made in makers
    ]


def _write_sheets(models: list[Maker], paths: list[str]) -> None:
    """Crops of original, truth, made and residual, with histograms, by image and model."""
    require(bool(models), "--sheets needs --models")
    shares, out = crop_grid.center(FLAGS.at), make_folder(FLAGS.sheets)
    images = {}
    for path in paths:
        image, stem = read_image(path), pathlib.Path(path).stem
        window = crop_grid.window(*image.shape[:2], FLAGS.size, shares)
        truths = {name: distort(image, name, seed=noise_seed(path)) for name in DISTORTIONS}
        for model in models:
            name = model.name.partition("_")[0]
            require(name in truths, f"--models: {model.name} does not begin with a distortion")
            made = model.make(path, image)
            histograms = [nss.histogram(side) for side in (truths[name], made)]
            jsd = nss.jensen_shannon(*histograms)
            # Twice as strong, around middle gray: faint residuals are seen.
            residual = np.clip(128 + 2 * (made.astype(int) - image), 0, 255).astype(np.uint8)
            sides = {
                "original": ("original", image),
                "true": (f"{name}, severity {DISTORTIONS[name].severity:g}", truths[name]),
                "made": (f"{model.name}\nJSD {jsd:.4f}", made),
                "residual": ("what was added, twice", residual),
            }
            entry = images.setdefault(f"{stem}, {model.name}", [])
            for side, (label, whole) in sides.items():
                file = f"{stem}_{model.name}_{side}.png"
                entry.append(crop_grid.write(out, file, whole[window], label))
            entry[2]["histograms"] = [np.round(each, 6).tolist() for each in histograms]
    crop_grid.write_index(out, FLAGS.title, images)


if __name__ == "__main__":
    launch(main)
