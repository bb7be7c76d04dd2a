"""Codecs behind one interface: a picture in, the bytes of a file out, and back."""

from __future__ import annotations

import abc
import io

import numpy as np
from PIL import Image, features

from lossylab.eval import container
from lossylab.eval.export import Codec


class PictureCodec(abc.ABC):
    """A codec at one setting.

    Attributes:
      name: what its rate-distortion curve is called.
      setting: which point of the curve this is.
    """

    name: str
    setting: str

    @abc.abstractmethod
    def encode(self, picture: np.ndarray) -> tuple[bytes, float]:
        """A picture, uint8 [H, W, 3], as a file's bytes, and the estimated bits (or NaN)."""

    @abc.abstractmethod
    def decode(self, data: bytes) -> np.ndarray:
        """The picture of a file's bytes."""

    @abc.abstractmethod
    def version(self) -> str:
        """Name and version of the software."""


class Jpeg(PictureCodec):
    """JPEG 4:4:4 by Pillow's libjpeg-turbo with the standard Huffman tables.

    Standard tables, because only these agree with ProxIQA's Table II.
    """

    name = "jpeg"

    def __init__(self, quality: int):
        """A codec at a libjpeg quality, 1..100."""
        self.setting = str(quality)
        self._quality = quality

    def encode(self, picture):
        file = io.BytesIO()
        image = Image.fromarray(picture)
        image.save(file, "JPEG", quality=self._quality, subsampling=0, optimize=False)
        return file.getvalue(), float("nan")

    def decode(self, data):
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))

    def version(self):
        return f"libjpeg-turbo {features.version('libjpeg_turbo')}"


class Learned(PictureCodec):
    """An exported lossylab codec."""

    def __init__(self, name: str, setting: str, path: str):
        """Loads the export at `path`; raises ExportError."""
        self.name, self.setting = name, setting
        self._codec = Codec(path)

    def encode(self, picture):
        return container.compress(self._codec, picture)

    def decode(self, data):
        return container.decompress(self._codec, data)

    def version(self):
        return f"{self._codec.model_id} {self._codec.weights[:16]}"
