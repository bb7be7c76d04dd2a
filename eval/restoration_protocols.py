"""Protocols by which restoration is measured: the papers', and what a user gets of a file."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from lossylab.core.digest import weights_name
from lossylab.core.options import naming
from lossylab.data import jpeg
from lossylab.data.color import jpeg_ycbcr, studio_luma
from lossylab.data.decode import DecodedFile, as_rgb, decode_image
from lossylab.data.lattice_pairs import CHANNELS, read_planes
from lossylab.eval.metrics import features, lpips, vmaf
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.psnr_b import psnr_b
from lossylab.eval.metrics.ssim import ssim, ssim_uniform
from lossylab.eval.options.restoration import FILE, RestorationOptions
from lossylab.eval.schemas import RESTORATION_JUDGES
from lossylab.inference.export.restorer import Restorer

Image = np.ndarray
_SMALLEST = 16  # pixels, for all of the usual measures
_COLORS = 2  # planes of a view without luma


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How images are read, coded, restored by a network, and looked at.

    Attributes:
      channels: that networks must be for; None: whatever they are for.
      read: from a file to the clean image, uint8 [H, W, 1 or 3].
      degrade: from it and a JPEG quality to what is restored.
      restore: by a network.
      views: what is measured of clean and restored images, by the name in rows (`channels`):
        gray, RGB, or two planes of colors.
    """

    channels: int | None
    read: Callable[[str], Image]
    degrade: Callable[[Image, int], DecodedFile]
    restore: Callable[[Restorer, DecodedFile], Image]
    views: Mapping[str, Callable[[Image], Image]]


def _degrade(image: Image, quality: int) -> DecodedFile:
    coding = jpeg.Coding.by_quality(quality, image.shape[2])
    return DecodedFile(jpeg.degrade(image, quality), coding, True)


def _degrade_by_file(image: Image, quality: int) -> DecodedFile:
    """Written to a file and read as `lossylab restore` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "image.jpg"
        path.write_bytes(jpeg.encode(image, quality))
        return decode_image(path)


def _as_papers(network: Restorer, decoded: DecodedFile) -> Image:
    """The planes are what the network has learned; nothing is converted."""
    return network.apply(decoded.pixels)


def _as_users(network: Restorer, decoded: DecodedFile) -> Image:
    return network.restore(decoded.pixels, decoded.coding)


def _same(image: Image) -> Image:
    return image


def _luma(image: Image) -> Image:
    return studio_luma(as_rgb(image))


def _colors(image: Image) -> Image:
    """Cb and Cr, unrounded."""
    return jpeg_ycbcr(as_rgb(image))[..., 1:]


def _papers(name: str) -> Protocol:
    channels = CHANNELS[name]
    return Protocol(
        channels, partial(read_planes, channels=channels), _degrade, _as_papers, {name: _same}
    )


PROTOCOLS = {
    **{name: _papers(name) for name in CHANNELS},
    FILE: Protocol(
        None,
        lambda path: decode_image(path).pixels,
        _degrade_by_file,
        _as_users,
        {f"{FILE}_rgb": _same, f"{FILE}_y": _luma, f"{FILE}_c": _colors},
    ),
}


class Measures:
    """What is measured of a clean and a restored image.

    Attributes:
      decides: what beside the usual measures decides a row's values; nothing if it is none.
    """

    def __init__(self, options: RestorationOptions):
        """Loads what is asked for; raises BackboneError naming the option."""
        with naming("lpips"):
            self._lpips = lpips.LPIPS(options.lpips) if options.lpips else None
        with naming("features"):
            self._judge = features.FeatureJudge(options.features) if options.features else None
        self._vmaf = options.vmaf
        self.decides: tuple[str | None, ...] = (weights_name(options.lpips),)
        if options.features or options.vmaf:
            self.decides += (weights_name(options.features), vmaf.PROTOCOL * options.vmaf)

    @staticmethod
    def smallest(options: RestorationOptions) -> int:
        """Height and width that images need, in pixels."""
        asked = (
            lpips.SMALLEST if options.lpips else 0,
            features.SMALLEST if options.features else 0,
            vmaf.SMALLEST if options.vmaf else 0,
        )
        return max(_SMALLEST, *asked)

    def __call__(self, clean: Image, restored: Image) -> dict[str, float | str]:
        """Values by column, NaN where there are none: of colors alone the judges see nothing."""
        seen = clean.shape[2] != _COLORS
        lpips_of, judge = (self._lpips, self._judge) if seen else (None, None)
        found: dict[str, float] = dict.fromkeys(RESTORATION_JUDGES, math.nan)
        if self._vmaf and seen:
            pair = [as_rgb(image)[None] for image in (clean, restored)]
            found["vmaf"] = float(vmaf.measure(pair[0], pair[1])["vmaf"][0])
        if judge is not None:
            found.update(judge(clean, restored))
        return {
            "psnr": psnr(clean, restored),
            "ssim": float(ssim(clean[None], restored[None])[0]),
            "ssim_uniform": float(ssim_uniform(clean[None], restored[None])[0]),
            "psnr_b": psnr_b(clean, restored),
            "lpips": math.nan if lpips_of is None else lpips_of(clean, restored),
            "features": "" if judge is None else judge.label,
            **found,
        }
