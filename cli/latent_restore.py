"""`lossylab restore --method=pulse|mmd`: images by a search in a StyleGAN's latent space.

Every image found is a PNG file with a report beside it (JSON): settings, losses over the steps,
whether the constraint was met. Both are there from the first steps on, with what is best so far.
A killed command, given again, begins anew with the images that are not finished.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import logging
import sys
import time

import numpy as np
import tensorflow as tf
import tqdm
from absl import flags

from lossylab.cli import jobs, latent_report
from lossylab.cli.latent_report import Target
from lossylab.core import rows
from lossylab.core.digest import digest
from lossylab.core.errors import WorkError
from lossylab.core.options import require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image, sides
from lossylab.data.scaling import scaled
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import settings as latent_flags
from lossylab.inference.latent.prior import Prior
from lossylab.inference.latent.search import LOSSES, SMALLEST, Iterate, Search, Settings
from lossylab.losses.pulse import EPSILON
from lossylab.models.layers.stylegan_base import StyleGAN

log = logging.getLogger("lossylab")

_COLUMNS = (
    *("input", "output", "step", "total", *LOSSES, "constraint", "limit", "met", "seconds"),
)


def run(values: flags.FlagValues, source: str, target: str) -> None:
    """The whole command.

    Raises:
      UsageError: before work starts, where something does not fit.
      ImageError: likewise, if an image cannot be read.
      WorkError: at the end, if a search failed; the others are done.
    """
    require(bool(values.generator), f"--method={values.method} needs --generator")
    settings = latent_flags.settings_of(values)
    sources = find_images(source)
    # Reports tell which outputs are of the same search, so jobs.plan need not refuse them.
    plan = jobs.plan(sources, target, ".png", jobs.LOSSLESS, source != sources[0], overwrite=True)
    generator = stylegan_files.load(values.generator)
    wide = {given: _side(given, values.size, generator.resolution) for given, _ in plan}
    degradation = Degradation(values.degradation_model) if values.degradation_model else None
    decides = (
        *(dataclasses.astuple(settings), stylegan_files.fingerprint(generator)),
        *(degradation and degradation.weights, values.fit_samples, values.keep),
    )
    targets = [
        latent_report.waiting(Target(given, made, _identity(given, wide[given], decides)),
                              values.overwrite)
        for given, made in plan
    ]  # fmt: skip
    left = [target for target in targets if target is not None]
    if len(left) < len(plan):
        log.info("%d of %d images are finished", len(plan) - len(left), len(plan))
    if degradation is not None:
        _warn_of_other_scale(degradation, {generator.resolution // wide[t.source] for t in left})
    prior = Prior(generator, settings.samples, values.fit_samples, settings.seed)
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    failed = 0
    for group in _groups(left, wide, values.batch):
        try:
            found = _search(values, settings, generator, prior, degradation, group, wide)
            writer.writerows(found)
            sys.stdout.flush()
        except FloatingPointError as error:
            failed += len(group)
            log.error("%s: %s: lower --rate", group[0].source, error)
        except (MemoryError, tf.errors.ResourceExhaustedError):
            failed += len(group)
            log.error("%s: not enough memory: lower --batch", group[0].source)
    if failed:
        raise WorkError(f"{failed} of {len(plan)} images failed, see above")


def _identity(source: str, side: int, decides: tuple) -> str:
    return rows.identity(digest(scaled(read_image(source), side)), *decides)


def _side(path: str, size: int | None, resolution: int) -> int:
    """Side of the image that is searched for; raises UsageError if the generator has no such."""
    width, height = sides(path)
    require(
        width == height, f"{path} is {width}x{height}: the generator's are square, crop it first"
    )
    require(size is None or size <= width, f"{path} is {width} pixels wide, below --size={size}")
    wide = size or width
    require(
        resolution % wide == 0 and wide >= SMALLEST,
        f"{path}: {wide} pixels do not divide the generator's {resolution}, or are below "
        f"{SMALLEST}: --size",
    )
    return wide


def _warn_of_other_scale(degradation: Degradation, factors: set[int]) -> None:
    learned = degradation.options.get("factor")
    if factors - {learned}:
        log.warning(
            "the degradation model has learned images scaled down %s times, these are %s times "
            "smaller than the generator's",
            *(learned, ", ".join(map(str, sorted(factors)))),
        )


def _groups(targets: list[Target], wide: dict[str, int], batch: int) -> list[list[Target]]:
    """What is searched for at once: images of one size, at most `batch`."""
    groups = []

    def size(target):
        return wide[target.source]

    for _, same in itertools.groupby(sorted(targets, key=size), size):
        mine = list(same)
        groups += [mine[first : first + batch] for first in range(0, len(mine), batch)]
    return groups


def _search(
    values: flags.FlagValues,
    settings: Settings,
    generator: StyleGAN,
    prior: Prior,
    degradation: Degradation | None,
    group: list[Target],
    wide: dict[str, int],
) -> list[dict[str, str]]:
    """One search and its files; returns lines of the table."""
    begun = time.perf_counter()
    constraint = ("pixel", settings.epsilon or EPSILON)
    if settings.mmd_weight:
        constraint = ("mmd", prior.limit(generator.layers, settings.gamma, settings.power))
    given = np.stack([scaled(read_image(t.source), wide[t.source]) for t in group])
    search = Search(generator, prior, settings, given, degradation and degradation.nll)

    def on_step(last: Iterate, best: Iterate):
        bar.update()
        bar.set_postfix({name: f"{value.mean():.3g}" for name, value in last.losses.items()})
        if int(last.steps[0]) % values.save_every == 0:
            for index, target in enumerate(group):
                if not target.untouched:
                    latent_report.write(target, settings, best, best, index, constraint)

    with tqdm.tqdm(total=settings.steps, unit="step", desc=group[0].source[-30:]) as bar:
        result = search.run(on_step)
    kept = result.best if values.keep == "best" else result.last
    seconds = (time.perf_counter() - begun) / len(group)
    return [
        _line(
            latent_report.write(
                target, settings, kept, result.best, index, constraint, result.history
            ),
            target,
            seconds,
        )
        for index, target in enumerate(group)
    ]


def _line(report: dict, target: Target, seconds: float) -> dict[str, str]:
    losses, constraint = report["losses"], report["constraint"]
    return {
        **{"input": target.source, "output": target.target, "step": str(report["step"])},
        **{name: f"{losses[name]:.6g}" if name in losses else "" for name in ("total", *LOSSES)},
        **{"constraint": constraint["of"], "limit": f"{constraint['limit']:.4g}"},
        **{"met": "yes" if constraint["met"] else "no", "seconds": f"{seconds:.1f}"},
    }
