"""JPEG encoders that users pick instead of libjpeg's: jpegli and MozJPEG, where they are installed.

Neither is needed by anything else here: the extra `encoders` brings pyjpegli and, in
pyvips's binary package, a libvips that is built with MozJPEG. Their files have Huffman codes of
their own, so that a comparison with standard codes on the other side flatters them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.metadata import version as _installed
from types import ModuleType
from typing import Any

import numpy as np

from lossylab.core import extras
from lossylab.core.errors import CodecError
from lossylab.inference.codecs.base import EncodedFile
from lossylab.inference.codecs.classical import QualityCodec, require_package


class _OtherJpeg(QualityCodec):
    """An encoder of another package, which only `version` and `encode` look for."""

    settings = tuple(str(quality) for quality in range(1, 101))
    _MODULE: str
    _PACKAGES: tuple[str, ...]

    def version(self) -> str:
        """Name and version of the packages; raises CodecError if they are not installed."""
        self._module()
        return ", ".join(f"{name} {_installed(name)}" for name in self._PACKAGES)

    def _module(self) -> ModuleType:
        return require_package(self._MODULE, self._PACKAGES[-1], self.name)


class Jpegli(_OtherJpeg):
    """Google's jpegli as pyjpegli calls it: 4:2:0, adaptive quantization, sequential."""

    name = "jpegli"
    _MODULE, _PACKAGES = "pyjpegli", ("pyjpegli",)

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        """See `ImageCodec`."""
        height, width = image.shape[:2]
        try:
            data = self._module().encode(image.tobytes(), width, height, int(setting))
        except (RuntimeError, ValueError) as error:
            raise CodecError(f"jpegli cannot code {width}x{height}: {error}") from error
        return EncodedFile(data, height, width)


class MozJpeg(_OtherJpeg):
    """MozJPEG by libvips, told what its cjpeg does by itself: trellis quantization, progressive."""

    _MODULE, _PACKAGES = "pyvips", ("pyvips", "pyvips-binary")
    _CJPEG = {
        **{"trellis_quant": True, "overshoot_deringing": True, "quant_table": 3},
        **{"interlace": True, "optimize_scans": True, "optimize_coding": True},
    }

    def __init__(self, qualities: Sequence[int] = (), sampling: int = 420) -> None:
        """A codec with chroma sampling 420, cjpeg's, or 444; `qualities` as for `QualityCodec`."""
        super().__init__(qualities)
        self.name = "mozjpeg" if sampling == 420 else f"mozjpeg{sampling}"
        self._subsampled = sampling == 420

    def options(self, setting: str) -> dict[str, Any]:
        """What libvips is told."""
        mode = "on" if self._subsampled else "off"
        return {**self._CJPEG, "Q": int(setting), "subsample_mode": mode}

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        """See `ImageCodec`."""
        height, width = image.shape[:2]
        data = _by_vips(self._module(), image, self.options(setting))
        return EncodedFile(data, height, width)

    def version(self) -> str:
        """As above; raises CodecError, too, if libvips was built without MozJPEG."""
        found = super().version()
        if not _has_mozjpeg(self._module()):
            raise CodecError(
                f"{self.name}: libvips here is built without MozJPEG: {extras.cure('encoders')}"
            )
        return found


def _by_vips(vips: Any, image: np.ndarray, options: dict[str, Any]) -> bytes:
    height, width = image.shape[:2]
    try:
        source = vips.Image.new_from_memory(np.ascontiguousarray(image), width, height, 3, "uchar")
        return source.copy(interpretation="srgb").jpegsave_buffer(keep="none", **options)
    except vips.Error as error:
        raise CodecError(f"libvips cannot code {width}x{height}: {error}") from error


@functools.cache
def _has_mozjpeg(vips: Any) -> bool:
    """Whether libvips heeds an option that only MozJPEG has."""
    gray = np.full((8, 8, 3), 128, np.uint8)
    return len({_by_vips(vips, gray, {"Q": 50, "quant_table": table}) for table in (0, 3)}) > 1


# Name -> a codec with these qualities.
OTHERS = {
    "jpegli": Jpegli,
    "mozjpeg": MozJpeg,
    "mozjpeg444": functools.partial(MozJpeg, sampling=444),
}
