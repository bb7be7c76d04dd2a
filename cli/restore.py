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
from lossylab.inference.export import restoring
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import Candidate, Choice
from lossylab.models import sadct
from lossylab.models.tnrd import TNRD

_COLUMNS = (
    *("input", "output", "width", "height", "channels"),
    *("quality", "model", "reason", "seconds"),
)
_BYTES = 1024  # that the smallest of the networks takes for a pixel that it sees
_LOADED = 3  # networks that stay in memory
_ALONE = "the only one given"

log = logging.getLogger("lossylab")


class _Restoration:
    """What restores files: one network or method, or what is chosen for each file."""

    def __init__(self, options: RestoreOptions) -> None:
        """Reads the candidates' cards; one alone is loaded now. Raises UsageError."""
        self._options = options
        given = [model for model in options.model if model != SADCT]
        self._fallback: tuple[str | None, ...] = (SADCT, None)
        if options.model:
            self._fallback = tuple({model for model in options.model if model == SADCT})
        with naming("model"):
            self._among = restoring.candidates(given) if options.model else restoring.named()
        self._network = functools.lru_cache(_LOADED)(self._load)
        self.decoded = functools.lru_cache(1)(_decoded)  # for identity and work
        self._alone = len(self._among) + len(self._fallback) == 1
        if self._alone and self._among:
            self._network(self._among[0].path)

    def identity(self, source: str) -> tuple[object, ...]:
        """What a file's result depends on: what restores it; raises ImageError or UsageError."""
        alone = self._alone and self._among
        model = self._among[0] if alone else self.chosen(self.decoded(source)).model
        if isinstance(model, Candidate):
            return restoring.REVISION, model.weights
        rest = (SADCT, sadct.REVISION) if model else ("nothing",)
        return (restoring.REVISION, *rest)

    @property
    def chooses(self) -> bool:
        """Whether there is more than one way to restore a file."""
        return not self._alone

    def _load(self, path: str) -> Restorer:
        with naming("model"):
            return Restorer(path, self._options.max_pixels)

    def chosen(self, decoded: DecodedFile) -> Choice:
        """What restores a file; raises UsageError if nothing does."""
        channels = decoded.pixels.shape[2]
        if self._alone and not self._among:
            return Choice(SADCT, _ALONE)
        if self._alone and self._known(decoded) is None:
            return Choice(self._among[0], _ALONE)
        coding = self._coding(decoded)
        if self._among and self._options.any_quality:
            best = restoring.nearest(self._among, coding, channels)
            return Choice(best, "the nearest, whatever the quality")
        try:
            return restoring.choose(self._among, coding, channels, decoded.upright, self._fallback)
        except UsageError as error:
            raise UsageError(f"{error}: choose another `model`, or `any_quality`") from error

    def _known(self, decoded: DecodedFile) -> jpeg.Coding | None:
        """How a file was coded, if that is known; a quality that is given decides."""
        quality = self._options.quality
        if quality is None:
            return decoded.coding
        return jpeg.Coding.by_quality(quality, decoded.pixels.shape[2])

    def _coding(self, decoded: DecodedFile) -> jpeg.Coding:
        coding = self._known(decoded)
        if coding is None:
            raise UsageError("no JPEG file: give the `quality` it was coded at")
        return coding

    def expected(self, decoded: DecodedFile, chosen: Choice) -> str:
        """What files like this one gained by what restores it, in words; empty if unknown."""
        coding, model = self._known(decoded), chosen.model
        if not isinstance(model, Candidate) or coding is None:
            return ""
        return model.expected(coding)

    def restored(
        self, source: str, decoded: DecodedFile, chosen: Choice
    ) -> tuple[np.ndarray, float]:
        """The restored image, and milliseconds; raises UsageError if it cannot be."""
        image, model, known = decoded.pixels, chosen.model, self._known(decoded)
        if decoded.coding is not None and known is not decoded.coding:
            own = jpeg.nearest_quality(decoded.coding.tables[0])
            text = f"taken for coded at the `quality` given, its own tables are near {own}"
            log.warning("%s: %s", source, text)
        if isinstance(model, Candidate):
            if model.model == TNRD.model_id:
                _check_blocks(source, model, decoded, known)
            pixels_in_work = min(self._options.max_pixels, image.shape[0] * image.shape[1])
            memory.demand(_BYTES * pixels_in_work, ": lower `max_pixels`")
            return timed(self._network(model.path).restore, image, known)
        coding = self._coding(decoded)
        if model == SADCT:
            _warn_if_fine(coding)
        return timed(restoring.apply, model, image, coding, self._network)


def restore(options: RestoreOptions) -> None:
    """Restores images; raises as `jobs.plan`, `jobs.run` and `latent_restore.restore`."""
    if options.method != NETWORK:
        latent_restore.restore(options)
        return
    sources = find_images(options.input)
    plan = jobs.plan(options, sources, ".png", jobs.LOSSLESS, ".restored.png")
    restoration = _Restoration(options)
    work = functools.partial(_restore_one, options, restoration)
    jobs.run(plan, work, _COLUMNS, restoration.identity)


def _restore_one(
    options: RestoreOptions, restoration: _Restoration, source: str, target: str
) -> dict[str, Any]:
    decoded = restoration.decoded(source)
    image, coding = decoded.pixels, decoded.coding
    chosen = restoration.chosen(decoded)
    restored, milliseconds = restoration.restored(source, decoded, chosen)
    name = chosen.model.path if isinstance(chosen.model, Candidate) else chosen.model or "nothing"
    if restoration.chooses:
        known = restoration.expected(decoded, chosen)
        log.info("%s: by %s (%s)%s", source, name, chosen.reason, known and f"; {known}")
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
        "quality": jpeg.nearest_quality(coding.tables[0]) if coding else "",
        "model": name,
        "reason": chosen.reason,
        "seconds": f"{milliseconds / 1000:.2f}",
    }


def _decoded(source: str) -> DecodedFile:
    # Restored are the values that the file has coded; they are converted afterwards.
    return decode_image(source, keep_profile=True)


def _warn_if_fine(coding: jpeg.Coding) -> None:
    quality, finest = jpeg.nearest_quality(coding.tables[0]), restoring.finest_of_sadct(coding)
    if quality > finest:
        log.warning(
            "coded at a quality near %d: above %d SA-DCT takes away as much as it restores",
            *(quality, finest),
        )


def _check_blocks(
    source: str, network: Candidate, decoded: DecodedFile, coding: jpeg.Coding | None
) -> None:
    """TNRD projects onto the file's coefficients: its table and blocks must be the trained ones."""
    if coding is None or coding is not decoded.coding:
        text = f"tnrd takes it for coded at quality {network.quality}, its blocks for"
        say_once("blocks", source, f"{text} beginning in the upper left corner")
    if coding is None:
        return
    require(
        network.knows(coding),
        f"has another quantization table than quality {network.quality}, which tnrd projects "
        "onto: choose another `model`",
    )
    require(
        decoded.upright,
        "is turned by its EXIF orientation, so that tnrd does not find its blocks: choose another "
        "`model`",
    )
