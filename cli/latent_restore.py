"""`lossylab restore --method=pulse|mmd`: images by a search in a StyleGAN's latent space.

Every image found is a PNG file with a report beside it (JSON): settings, losses over the steps,
whether the constraint was met; and its latents (.npz), which `lossylab generate --styles` renders.
All are there from the first steps on, with what is found so far. A killed command, given again,
begins anew with the images that are not finished.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import logging
import operator
import os
import sys
import time
from typing import Any

import numpy as np
import tqdm

from lossylab.cli import jobs, latent_report
from lossylab.cli.latent_report import Constraint, Target
from lossylab.cli.options.restore import RestoreOptions
from lossylab.core import rows
from lossylab.core.digest import digest
from lossylab.core.errors import WorkError
from lossylab.core.options import naming, require
from lossylab.data.collections import find_images
from lossylab.data.color import is_gray
from lossylab.data.decode import as_rgb, decode_image, read_image, stored_size
from lossylab.data.scaling import scaled
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import gaussian_file
from lossylab.inference.latent.generator import find_generator
from lossylab.inference.latent.prior import Prior
from lossylab.inference.latent.search import Iterate, Search
from lossylab.inference.latent.settings import LOSSES, SMALLEST, Settings, settings_of
from lossylab.losses.pulse import EPSILON
from lossylab.models.layers.stylegan_base import StyleGAN

log = logging.getLogger("lossylab")

_COLUMNS: tuple[str, ...] = (
    "input",
    "output",
    "step",
    "total",
    *LOSSES,
    "constraint",
    "threshold",
    "met",
    "seconds",
)


def restore(options: RestoreOptions) -> None:
    """Searches for all images of the input.

    Raises:
      UsageError: before work starts, where something does not fit.
      ImageError: likewise, if an image cannot be read.
      WorkError: at the end, if a search failed; the others are done.
    """
    settings = settings_of(options, options.method)
    sources = find_images(options.input)
    # Reports tell which outputs are of the same search, so jobs.plan need not refuse them.
    overwriting = options.replace(overwrite=True)
    plan = jobs.plan(overwriting, sources, ".png", jobs.LOSSLESS).pairs
    path = jobs.generator_of(options.generator)
    with naming("generator"):
        generator = find_generator(path)
    gaussian = gaussian_file.beside(path)
    sizes = {source: _size(source, options.size, generator.resolution) for source, _ in plan}
    with naming("degradation_model"):
        degradation = Degradation(options.degradation_model) if options.degradation_model else None
    name = stylegan_files.fingerprint(generator)
    searches, count = [], len(plan) * options.duplicates
    for number in range(options.duplicates):
        mine = dataclasses.replace(settings, seed=settings.seed + number)
        # One part: reports are found again by it.
        model = degradation and degradation.weights
        decides = (mine.identity, name, model, options.fit_samples, options.iterate)
        pairs = [(s, _numbered(t, number, options.duplicates), sizes[s]) for s, t in plan]
        searches.append((mine, _waiting(pairs, name, decides, options.overwrite)))
    left = [target for _, targets in searches for target in targets]
    if len(left) < count:
        log.info("%d of %d images are finished", count - len(left), count)
    if degradation is not None:
        _warn_of_other_scale(degradation, {generator.resolution // target.size for target in left})
    writer = csv.DictWriter(sys.stdout, list(_COLUMNS), lineterminator="\n")
    writer.writeheader()
    failed = 0
    for mine, targets in searches:
        numbers = mine.samples, options.fit_samples, mine.seed
        prior = Prior(generator, *numbers, gaussian)
        failed += _Searches(options, mine, generator, prior, degradation).run(targets, writer)
    if failed:
        raise WorkError(f"{failed} of {count} images failed, see above")


def _numbered(target: str, number: int, duplicates: int) -> str:
    """Where a duplicate goes: NAME_1.png and so on, NAME.png where there is one."""
    stem, suffix = os.path.splitext(target)
    return f"{stem}_{number + 1}{suffix}" if duplicates > 1 else target


def _waiting(
    pairs: list[tuple[str, str, int]], generator: str, decides: tuple, overwrite: bool
) -> list[Target]:
    """What is left to search for, of sources, targets and sizes."""
    targets = []
    for source, target, size in pairs:
        pixels = decode_image(source).pixels
        given = scaled(as_rgb(pixels), size)
        gray = is_gray(given)
        identity = rows.identity(digest(given), *decides, *(["gray"] if gray else []))
        found = Target(
            *(source, target, size, identity, generator),
            colorless=bool(gray),
            gray=pixels.shape[2] == 1,
        )
        targets.append(latent_report.waiting(found, overwrite))
    return [target for target in targets if target is not None]


def _size(path: str, size: int | None, resolution: int) -> int:
    """Side of the image that is searched for; raises UsageError if the generator has no such."""
    height, width = stored_size(path)
    require(
        width == height, f"{path} is {width}x{height}: the generator's are square, crop it first"
    )
    require(size is None or size <= width, f"{path} is {width} pixels wide, below `size`={size}")
    wide = size or width
    require(
        resolution % wide == 0 and wide >= SMALLEST,
        f"{path}: {wide} pixels do not divide the generator's {resolution}, or are below "
        f"{SMALLEST}: `size`",
    )
    return wide


def _warn_of_other_scale(degradation: Degradation, factors: set[int]) -> None:
    learned = degradation.options.get("factor")
    if factors - {learned}:
        log.warning(
            "the degradation model has learned images scaled down %s times, these are %s times "
            "smaller than the generator's",
            learned,
            ", ".join(map(str, sorted(factors))),
        )


@dataclasses.dataclass(frozen=True)
class _Searches:
    """What all searches of a command share."""

    options: RestoreOptions
    settings: Settings
    generator: StyleGAN
    prior: Prior
    degradation: Degradation | None

    def run(self, targets: list[Target], writer: csv.DictWriter) -> int:
        """Searches group by group, with a line of the table each; returns how many failed."""
        failed = 0
        for group in _groups(targets, self.options.batch):
            try:
                writer.writerows(self._search(group))
                sys.stdout.flush()
            except Exception as error:
                if isinstance(error, FloatingPointError):
                    log.error("%s: %s: lower `learning_rate`", group[0].source, error)
                elif jobs.is_out_of_memory(error):
                    log.error("%s: not enough memory: lower `batch`", group[0].source)
                else:
                    raise
                failed += len(group)
        return failed

    def _search(self, group: list[Target]) -> list[dict[str, str]]:
        """One search and its files; returns lines of the table."""
        begun = time.perf_counter()
        given = np.stack([scaled(read_image(target.source), target.size) for target in group])
        degradation, least = self.degradation, np.full(len(group), np.inf)
        nll = None if degradation is None else degradation.nll
        search = Search(self.generator, self.prior, self.settings, given, nll)

        def on_step(last: Iterate, best: Iterate) -> None:
            np.minimum(least, last.losses["pixel"], out=least)
            bar.update()
            bar.set_postfix({name: f"{value.mean():.3g}" for name, value in last.losses.items()})
            if int(last.steps[0]) % self.options.save_every == 0:
                kept = self._kept(last, best)
                constraint = self._constraint(kept, least)
                for index, target in enumerate(group):
                    if not target.untouched:
                        latent_report.write(target, self.settings, kept, best, index, constraint)

        with tqdm.tqdm(total=self.settings.steps, unit="step", desc=group[0].source[-30:]) as bar:
            found = search.run(on_step)
        kept = self._kept(found.last, found.best)
        constraint = self._constraint(kept, least)
        seconds = (time.perf_counter() - begun) / len(group)
        lines = []
        for index, target in enumerate(group):
            report = latent_report.write(
                target, self.settings, kept, found.best, index, constraint, found.history
            )
            lines.append(_line(report, target, seconds))
        return lines

    def _kept(self, last: Iterate, best: Iterate) -> Iterate:
        return best if self.options.iterate == "best" else last

    def _constraint(self, kept: Iterate, least: np.ndarray) -> Constraint:
        """The paper's is on what is kept; PULSE's on the least squared error of all iterates."""
        settings = self.settings
        if settings.mmd_weight:
            layers = self.generator.num_layers
            threshold = self.prior.threshold(layers, settings.gamma, settings.power)
            return Constraint("mmd", threshold, kept.losses["mmd"])
        return Constraint("pixel", settings.epsilon or EPSILON, least)


def _groups(targets: list[Target], batch: int) -> list[list[Target]]:
    """What is searched for at once: images of one size, at most `batch`."""
    groups = []
    by_size = operator.attrgetter("size")
    for _, same in itertools.groupby(sorted(targets, key=by_size), by_size):
        mine = list(same)
        groups += [mine[first : first + batch] for first in range(0, len(mine), batch)]
    return groups


def _line(report: dict[str, Any], target: Target, seconds: float) -> dict[str, str]:
    losses, constraint = report["losses"], report["constraint"]
    return {
        "input": target.source,
        "output": target.target,
        "step": str(report["step"]),
        **{name: f"{losses[name]:.6g}" if name in losses else "" for name in ("total", *LOSSES)},
        "constraint": constraint["of"],
        "threshold": f"{constraint['threshold']:.4g}",
        "met": "yes" if constraint["met"] else "no",
        "seconds": f"{seconds:.1f}",
    }
