"""Protocols by which restoration is measured: the papers', and what a user gets of a file."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from lossylab.data import jpeg
from lossylab.data.color import studio_luma
from lossylab.data.decode import DecodedFile, as_rgb, decode_image
from lossylab.data.lattice_pairs import CHANNELS, read_planes
from lossylab.eval.options.restoration import FILE
from lossylab.inference.export.restorer import Restorer

Image = np.ndarray


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How images are read, coded, restored by a network, and looked at.

    Attributes:
      channels: that networks must be for; None: whatever they are for.
      read: from a file to the clean image, uint8 [H, W, 1 or 3].
      degrade: from it and a JPEG quality to what is restored.
      restore: by a network.
      views: what is measured of clean and restored images, by the name in rows (`channels`).
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
        {f"{FILE}_rgb": _same, f"{FILE}_y": _luma},
    ),
}
