"""Formats of the web beside JPEG: WebP and AVIF by Pillow, JPEG XL by a plugin of it.

Effort and speed are those that Pillow and the formats' own tools take by themselves, but for WebP,
which is fast enough for its best; one thread, so that times compare.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from PIL import features

from lossylab.core.errors import CodecError
from lossylab.inference.codecs.base import EncodedFile
from lossylab.inference.codecs.classical import QualityCodec, pillow_encode, require_package


class _Format(QualityCodec):
    """A format that Pillow writes and reads; settings are its qualities."""

    settings = tuple(str(quality) for quality in range(101))
    _KIND: str

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        """See `ImageCodec`."""
        self.version()
        return pillow_encode(image, self._KIND, self.name, self.options(setting))

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        """See `ImageCodec`."""
        self.version()
        return super().decode(file, setting)

    def _require(self, feature: str) -> str:
        """The version of what Pillow was built with; raises CodecError if it was not."""
        if not features.check(feature):
            raise CodecError(f"{self.name} needs a Pillow with {feature}: pip install -U pillow")
        return str(features.version(feature))


class WebP(_Format):
    """WebP by Pillow's libwebp: lossy, 4:2:0, which is all it has, and its slowest method."""

    name, _KIND = "webp", "WEBP"

    def options(self, setting: str) -> dict[str, Any]:
        """What Pillow is told."""
        return {"quality": int(setting), "method": 6}

    def version(self) -> str:
        """Name and version of the library; raises CodecError if it is not there."""
        return f"libwebp {self._require('webp')}"


class Avif(_Format):
    """AVIF by Pillow's libavif and libaom, 8 bits, at the speed that avifenc takes by itself."""

    _KIND = "AVIF"
    cost = 1

    def __init__(self, qualities: Sequence[int] = (), sampling: int = 444) -> None:
        """A codec with chroma sampling 444 or 420; `qualities` as for `QualityCodec`."""
        super().__init__(qualities)
        self.name = f"avif{sampling}"
        self._sampling = {444: "4:4:4", 420: "4:2:0"}[sampling]

    def options(self, setting: str) -> dict[str, Any]:
        """What Pillow is told."""
        known = {"subsampling": self._sampling, "speed": 6, "codec": "aom", "max_threads": 1}
        return {"quality": int(setting), **known}

    def version(self) -> str:
        """Names and versions of the libraries; raises CodecError if they are not there."""
        return f"libavif {self._require('avif')}, {_av1_coders()}"


class JpegXl(_Format):
    """JPEG XL by pillow-jxl-plugin's libjxl: XYB colors, effort 7 as cjxl by itself."""

    name, _KIND = "jpegxl", "JXL"
    settings = tuple(str(quality) for quality in range(100))  # 100 is another mode, without loss
    _PLUGIN, _PACKAGE = "pillow_jxl", "pillow-jxl-plugin"

    def options(self, setting: str) -> dict[str, Any]:
        """What the plugin is told."""
        return {"quality": int(setting), "effort": 7, "num_threads": 1}

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        """See `ImageCodec`."""
        height, width = image.shape[:2]
        with self._named(f"cannot code an image of {width}x{height}"):
            return super().encode(image, setting)

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        """See `ImageCodec`."""
        with self._named("cannot decode its file"):
            return super().decode(file, setting)

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """Makes the plugin's errors ours."""
        try:
            yield
        except CodecError:
            raise
        except RuntimeError as error:
            raise CodecError(f"{self.name} {what}: {error}") from error

    def version(self) -> str:
        """Name and version of the package; raises CodecError if it is not installed."""
        require_package(self._PLUGIN, self._PACKAGE, self.name)
        return f"{self._PACKAGE} {metadata.version(self._PACKAGE)}"


@functools.cache
def _av1_coders() -> str:
    """Which AV1 encoder and decoder libavif has, with their versions."""
    return str(importlib.import_module("PIL._avif").codec_versions())


# Name -> a codec with these qualities.
FORMATS = {
    "webp": WebP,
    "avif444": Avif,
    "avif420": functools.partial(Avif, sampling=420),
    "jpegxl": JpegXl,
}
