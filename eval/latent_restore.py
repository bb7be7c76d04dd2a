"""`lossylab restore --method=pulse|mmd`: pictures by a search in a StyleGAN's latent space.

Every picture found is a PNG file with a report beside it (JSON): settings, losses of the last and
of the best iterate, whether the constraint was met. Both are there from the first steps on, with
what is best so far; a killed command goes on with the pictures that are not finished.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import pathlib
import sys
import time

import numpy as np
import tqdm
from absl import flags
from PIL import Image

from lossylab.data.collections import find_pictures
from lossylab.data.decode import read_picture, sides
from lossylab.data.files import replacing, write_text
from lossylab.eval import jobs, latent_flags, rows, stylegan_files
from lossylab.eval.app import WorkError, log, require
from lossylab.eval.degradations import Degradation
from lossylab.eval.latent_cases import scaled
from lossylab.eval.latent_search import LOSSES, Found, Search
from lossylab.eval.latent_space import Prior
from lossylab.losses.pulse import EPSILON

_COLUMNS = (
    *("input", "output", "total", *LOSSES, "best_total", "best_step", "constraint", "limit"),
    *("met", "seconds"),
)


def run(values: flags.FlagValues, source: str, target: str) -> None:
    """The whole command; raises UsageError before work starts where something does not fit."""
    require(bool(values.generator), f"--method={values.method} needs --generator")
    settings = latent_flags.settings_of(values)
    sources = find_pictures(source)
    # Reports tell which outputs are of the same search, so jobs.plan need not refuse them.
    plan = jobs.plan(sources, target, ".png", jobs.LOSSLESS, source != sources[0], overwrite=True)
    generator = stylegan_files.load(values.generator)
    degradation = Degradation(values.degradation_model) if values.degradation_model else None
    identity = rows.identity(
        dataclasses.astuple(settings), stylegan_files.fingerprint(generator),
        degradation and degradation.weights, values.size, values.fit_samples, values.keep,
    )  # fmt: skip
    waiting = [
        pair for pair in plan if not _finished(pathlib.Path(pair[1]), identity, values.overwrite)
    ]
    if len(waiting) < len(plan):
        log.info("%d of %d pictures are finished", len(plan) - len(waiting), len(plan))
    groups = _groups(waiting, values.size, values.batch, generator.resolution)
    prior = Prior(generator, settings.samples, values.fit_samples, settings.seed)
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    nll = degradation.nll if degradation else None
    for group in groups:
        for line in _Batch(values, settings, identity, group).search(generator, prior, nll):
            writer.writerow(line)
            sys.stdout.flush()


def _report_of(target: pathlib.Path) -> pathlib.Path:
    return target.with_suffix(".json")


def _finished(target: pathlib.Path, identity: str, overwrite: bool) -> bool:
    """Whether this search has made the file; raises UsageError where another has."""
    if not target.exists() and not _report_of(target).exists():
        return False
    try:
        report = json.loads(_report_of(target).read_text())
    except (OSError, ValueError):
        report = {}
    if report.get("identity") == identity:
        return report["finished"] and target.exists()
    require(overwrite, f"{target} exists, of another search: --overwrite")
    return False


def _groups(
    plan: list[tuple[str, str]], size: int | None, batch: int, resolution: int
) -> list[list[tuple[str, str]]]:
    """Files whose pictures are searched for at once: of one size, at most `batch`."""
    wide = {source: _side(source, size, resolution) for source, _ in plan}
    groups = []
    for _, pairs in itertools.groupby(
        sorted(plan, key=lambda pair: wide[pair[0]]), lambda pair: wide[pair[0]]
    ):
        pairs = list(pairs)
        groups += [pairs[first : first + batch] for first in range(0, len(pairs), batch)]
    return groups


def _side(path: str, size: int | None, resolution: int) -> int:
    """Side of the picture that is searched for; raises UsageError if the generator has no such."""
    width, height = sides(path)
    require(
        width == height, f"{path} is {width}x{height}: the generator's are square, crop it first"
    )
    require(size is None or size <= width, f"{path} is {width} pixels wide, below --size={size}")
    wide = size or width
    require(
        resolution % wide == 0,
        f"{path}: {wide} pixels do not divide the generator's {resolution}: --size",
    )
    return wide


class _Batch:
    """One search and its files."""

    def __init__(self, values, settings, identity, group):
        self._values, self._settings, self._identity = values, settings, identity
        self._group, self._begun = group, time.perf_counter()
        self._constraint = ("pixel", settings.epsilon or EPSILON)

    def search(self, generator, prior, nll) -> list[dict[str, str]]:
        """Runs the search; returns lines of the table."""
        settings = self._settings
        if settings.mmd_weight:
            limit = prior.limit(generator.layers, settings.gamma, settings.power)
            self._constraint = ("mmd", limit)
        pictures = [read_picture(source) for source, _ in self._group]
        side = _side(self._group[0][0], self._values.size, generator.resolution)
        given = np.stack([scaled(picture, side) for picture in pictures])
        search = Search(generator, prior, settings, given, nll)
        bar = tqdm.tqdm(total=settings.steps, unit="step", desc=self._group[0][0][-30:])

        def on_step(last: Found, best: Found):
            bar.update()
            bar.set_postfix({n: f"{v.mean():.3g}" for n, v in last.losses.items()})
            if int(last.steps[0]) % self._values.save_every == 0:
                self._write(best, best, finished=False)

        try:
            with bar:
                result = search.run(on_step)
        except FloatingPointError as error:
            raise WorkError(f"{error}: lower --rate") from error
        kept = result.best if self._values.keep == "best" else result.last
        return self._write(kept, result.best, finished=True)

    def _write(self, kept: Found, best: Found, finished: bool) -> list[dict[str, str]]:
        """Pictures and reports; returns lines of the table."""
        lines = []
        name, limit = self._constraint
        for index, (source, target) in enumerate(self._group):
            losses = {n: float(values[index]) for n, values in kept.losses.items()}
            met = losses[name] <= limit
            report = {
                **{"identity": self._identity, "finished": finished, "input": source},
                "settings": dataclasses.asdict(self._settings),
                **{"step": int(kept.steps[index]), "losses": losses},
                "best": {
                    "step": int(best.steps[index]),
                    "losses": {n: float(values[index]) for n, values in best.losses.items()},
                },
                "constraint": {"of": name, "limit": limit, "reached": losses[name], "met": met},
            }
            picture = np.clip(np.rint(kept.pictures[index]), 0, 255).astype(np.uint8)
            with replacing(target) as temporary:
                Image.fromarray(picture).save(temporary)
            write_text(_report_of(pathlib.Path(target)), json.dumps(report, indent=1) + "\n")
            lines.append(self._line(report, source, target))
        return lines

    def _line(self, report: dict, source: str, target: str) -> dict[str, str]:
        losses = report["losses"]
        return {
            **{"input": source, "output": target},
            **{n: f"{losses[n]:.6g}" if n in losses else "" for n in ("total", *LOSSES)},
            "best_total": f"{report['best']['losses']['total']:.6g}",
            "best_step": str(report["best"]["step"]),
            "constraint": report["constraint"]["of"],
            "limit": f"{report['constraint']['limit']:.4g}",
            "met": "yes" if report["constraint"]["met"] else "no",
            "seconds": f"{(time.perf_counter() - self._begun) / len(self._group):.1f}",
        }
