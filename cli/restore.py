"""Restores images with an exported network or SA-DCT; searches are `cli.latent_restore`'s."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np

from lossylab.cli import jobs, latent_restore
from lossylab.cli.options.restore import NETWORK, SADCT, RestoreOptions
from lossylab.core import memory
from lossylab.core.environment import timed
from lossylab.core.errors import UsageError
from lossylab.core.options import naming, require
from lossylab.data import jpeg
from lossylab.data.collections import find_images
from lossylab.data.decode import DecodedFile, decode_image, say_once
from lossylab.data.formats import profiles
from lossylab.data.formats.planes import CONVERTED
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import by_sadct
from lossylab.models import sadct
from lossylab.models.tnrd import TNRD

_COLUMNS = ("input", "output", "width", "height", "channels", "quality", "seconds")
# Files of this quality and one are close enough: the tables differ by one or two in an entry.
_NEAR = 0.1
_BYTES = 1024  # that the smallest of the networks takes for a pixel that it sees
_FINEST = 90  # quality up to which SA-DCT gains on the mean, see docs/decisions/wcdgan.md

log = logging.getLogger("lossylab")


def restore(options: RestoreOptions) -> None:
    """Restores images; raises as `jobs.plan`, `jobs.run` and `latent_restore.restore`."""
    if options.method != NETWORK:
        latent_restore.restore(options)
        return
    sources = find_images(options.input)
    plan = jobs.plan(options, sources, ".png", jobs.LOSSLESS)
    network = None
    if options.model is not None and options.model != SADCT:
        with naming("model"):
            network = Restorer(options.model, options.max_pixels)
    work = functools.partial(_restore_one, options, network)
    jobs.run(plan, work, _COLUMNS, (network.identity if network else f"{SADCT} {sadct.REVISION}",))


def _restore_one(
    options: RestoreOptions, network: Restorer | None, source: str, target: str
) -> dict[str, Any]:
    # Restored are the values that the file has coded; they are converted afterwards.
    decoded = decode_image(source, keep_profile=True)
    image, coding = decoded.pixels, decoded.coding
    quality = jpeg.nearest_quality(coding.tables[0]) if coding else None
    if network is None:
        coding = coding or _coding_of(options.quality, source, image.shape[2])
        _warn_if_fine(jpeg.nearest_quality(coding.tables[0]), source)
        restored, milliseconds = timed(by_sadct, image, coding)
    else:
        if quality is not None and not options.any_quality:
            _check_quality(network, source, quality)
        _check_blocks(network, source, decoded)
        pixels_in_work = min(options.max_pixels, image.shape[0] * image.shape[1])
        memory.demand(_BYTES * pixels_in_work, ": lower `max_pixels`")
        restored, milliseconds = timed(network.restore, image, coding)
    profile = decoded.profile
    if profile and not options.keep_profile:
        restored, profile = profiles.converted(restored, profile), None
        say_once("converted", source, CONVERTED)
    jobs.write_image(target, restored, profile)
    return {
        "input": source,
        "output": target,
        "width": image.shape[1],
        "height": image.shape[0],
        "channels": image.shape[2],
        "quality": quality or "",
        "seconds": f"{milliseconds / 1000:.2f}",
    }


def _coding_of(quality: int | None, source: str, channels: int) -> jpeg.Coding:
    if quality is None:
        raise UsageError(f"{source}: no JPEG file: give the `quality` it was coded at")
    return jpeg.Coding.by_quality(quality, channels)


def _warn_if_fine(quality: int, source: str) -> None:
    if quality > _FINEST:
        log.warning(
            "%s: was coded at a quality near %d; above %d SA-DCT takes away as much as it restores",
            source,
            quality,
            _FINEST,
        )


def _check_quality(network: Restorer, source: str, quality: int) -> None:
    if network.quality is None:
        return
    require(
        abs(quality - network.quality) <= max(1, _NEAR * network.quality),
        f"{source}: was coded at a quality near {quality}, the network is for "
        f"{network.quality}: choose another `model`, or `any_quality`",
    )


def _check_blocks(network: Restorer, source: str, decoded: DecodedFile) -> None:
    """TNRD projects onto the file's coefficients: its table and blocks must be the trained ones."""
    if network.model != TNRD.model_id or decoded.coding is None:
        return
    quality = network.quality
    require(
        quality is not None
        and np.array_equal(decoded.coding.tables[0], jpeg.luminance_table(quality)),
        f"{source}: has another quantization table than quality {quality}, which tnrd "
        "projects onto: choose another `model`",
    )
    require(
        decoded.upright,
        f"{source}: is turned by its EXIF orientation, so that tnrd does not find its blocks: "
        "choose another `model`",
    )
