"""One interface of all codecs: an image in, a file's bytes out, and back."""

from __future__ import annotations

import abc
import dataclasses
import json

import numpy as np

LOWEST_BPP, HIGHEST_BPP, POINTS = 0.05, 2.0, 8  # of ProxIQA's curves, Sec. IV-A


@dataclasses.dataclass(frozen=True)
class EncodedFile:
    """An image as a codec's file.

    Attributes:
      data: the bytes that count as rate.
      height: of the image in pixels; raw streams do not carry the size.
      width: of the image in pixels.
      bits: estimated length of `data` in bits, NaN if the codec has no estimate.
    """

    data: bytes
    height: int
    width: int
    bits: float = float("nan")


class ImageCodec(abc.ABC):
    """A codec with settings from low to high rate.

    Attributes:
      name: what its rate-distortion curve is called.
      settings: from the lowest rate to the highest.
      searched: whether settings are chosen per image so that rates cover the range; else all
        settings are points of the curve.
      keeps_files: whether its files are worth keeping, as only its export can read them.
      cost: codecs of higher cost take longer, and should begin first.
    """

    name: str
    settings: tuple[str, ...]
    searched = True
    keeps_files = False
    cost = 0

    @abc.abstractmethod
    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        """An image, uint8 [H, W, 3], as a file.

        Raises:
          CodecError: if the codec fails or cannot take the image.
        """

    @abc.abstractmethod
    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        """The image of a file, uint8 [H, W, 3]; raises CodecError."""

    @abc.abstractmethod
    def version(self) -> str:
        """Name and version of the software."""

    def prepare(self, image: np.ndarray, setting: str) -> None:  # noqa: B027 - most need none
        """Does what only the first encoding needs, so that it is not timed."""

    def setting_for(self, bpp: float) -> str | None:
        """The setting for a rate in bits per pixel; None of codecs that are not told the rate."""
        return None

    def options(self, setting: str) -> dict:
        """What the software is told, JSON values."""
        return {"setting": setting}

    def identity(self, setting: str) -> str:
        """Everything but the image that decides what `encode` and `decode` give."""
        return json.dumps([self.name, self.options(setting), self.version()], sort_keys=True)

    def check(self, height: int, width: int) -> None:  # noqa: B027 - most take any size
        """Raises CodecError if the codec cannot take images of this size."""
