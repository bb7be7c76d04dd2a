"""Distorts images, by a trained generator or by a codec or noise itself."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from lossylab.cli import jobs
from lossylab.cli.options.distort import SEVERITIES, DistortOptions
from lossylab.core import memory
from lossylab.core.environment import timed
from lossylab.core.errors import UsageError
from lossylab.core.options import naming, require
from lossylab.data import distortions
from lossylab.data.collections import find_images
from lossylab.data.color import gray_mean
from lossylab.data.decode import as_rgb, decode_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.metrics import nss
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export import zoo
from lossylab.inference.export.distorter import Distorter

_COLUMNS = ("input", "output", "width", "height", "psnr", "jsd", "seconds")

_Work = Callable[[str, np.ndarray], np.ndarray]  # from a path and its image to the distorted image

log = logging.getLogger("lossylab")


def distort(options: DistortOptions) -> None:
    """Distorts images; raises as `jobs.plan` and `jobs.run`."""
    sources = find_images(options.input)
    options = _resolved(options)
    plan = jobs.plan(options, sources, ".png", jobs.LOSSLESS, ".distorted.png")
    weights = None
    if options.model:
        with naming("model"):
            network = Distorter(options.model, options.max_pixels)
        require(
            network.noise_channels or not options.seed,
            "`seed`: the generator of `model` sees no noise",
        )
        work, weights = _by_network(network, options), network.weights
    else:
        work = _by_distortion(options)
    one = functools.partial(_distort_one, work, options.keep_profile, len(sources) == 1)
    jobs.run(plan, one, _COLUMNS, (weights,))


def _resolved(options: DistortOptions) -> DistortOptions:
    """The options with what `like` means: a generator that has a name, or the distortion itself."""
    if not options.like:
        return options
    name = zoo.distorter(options.like)
    if name:
        log.info("generator: %s, %s", name, zoo.card(name)["summary"])
        return options.replace(like=None, model=name)
    unit, severity = SEVERITIES[options.like]
    log.info(
        "no generator of %s has a name here: the distortion itself, %s %g",
        options.like,
        unit,
        severity,
    )
    return options.replace(like=None, distortion=options.like)


def _by_network(network: Distorter, options: DistortOptions) -> _Work:
    def work(path: str, image: np.ndarray) -> np.ndarray:
        pixels = network.pixels_at_once(*image.shape[:2])
        memory.demand(network.bytes_per_pixel * pixels, ": lower `max_pixels`")
        distorted = network.distort(as_rgb(image), _seed(path, options))
        return distorted if image.shape[2] == 3 else gray_mean(distorted)

    return work


def _by_distortion(options: DistortOptions) -> _Work:
    kind, severity = str(options.distortion), options.severity
    try:
        distortions.distort(np.zeros((8, 8, 3), np.uint8), kind, severity)
    except ValueError as error:
        raise UsageError(f"`severity`: {error}") from error

    def work(path: str, image: np.ndarray) -> np.ndarray:
        return distortions.distort(image, kind, severity, _seed(path, options))

    return work


def _seed(path: str, options: DistortOptions) -> int:
    return (noise_seed(path) + options.seed) % 2**32


def _distort_one(
    work: _Work, keep_profile: bool, alone: bool, source: str, target: str
) -> dict[str, Any]:
    decoded = decode_image(source, keep_profile=keep_profile)
    image = decoded.pixels
    distorted, milliseconds = timed(work, source, image)
    jobs.write_image(target, distorted, decoded.profile)
    height, width = image.shape[:2]
    quality, jsd = psnr(image, distorted), ""
    if alone:
        log.info("%s: %.2f dB from the original", target, quality)
    if min(height, width) > 1:
        one, other = (nss.histogram(as_rgb(each)) for each in (image, distorted))
        jsd = f"{nss.jensen_shannon(one, other):.4f}"
    return {
        "input": source,
        "output": target,
        "width": width,
        "height": height,
        "psnr": f"{quality:.2f}",
        "jsd": jsd,
        "seconds": f"{milliseconds / 1000:.3f}",
    }
