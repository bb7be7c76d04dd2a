"""Classical codecs by Pillow and ffmpeg: JPEG, with flat tables too, JPEG 2000 and HEVC intra.

Settings as in ProxIQA's experiments: JPEG and JPEG 2000 with 4:4:4 sampling, HEVC intra with
4:4:4 and 4:2:0 (Sec. IV-A). The paper's encoders were JPEG XT, Kakadu and HM; here are
libjpeg-turbo, OpenJPEG and x265, and `lossylab.inference.codecs.external` runs the others.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import re
import subprocess
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from PIL import Image, features

from lossylab.core import extras, ffmpeg
from lossylab.core.errors import CodecError
from lossylab.data.distortions import jpeg2000_options
from lossylab.inference.codecs.base import (
    HIGHEST_BPP,
    LOWEST_BPP,
    POINTS,
    EncodedFile,
    ImageCodec,
)
from lossylab.inference.codecs.jpeg_decoders import by_pillow


class QualityCodec(ImageCodec):
    """A codec whose settings are numbers, such as qualities, and whose files Pillow decodes."""

    def __init__(self, qualities: Sequence[int] = ()) -> None:
        """A codec.

        Args:
          qualities: points of the curve, rising; searched for given rates if there are none.
        """
        if qualities:
            self.searched, self.settings = False, tuple(map(str, qualities))

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        """See `ImageCodec`."""
        return pillow_decode(file.data, self.name)


def require_package(module: str, package: str, codec: str) -> ModuleType:
    """A module of an optional package; raises CodecError, with what to do, without it."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise CodecError(
            f"{codec} needs the package {package}: {extras.cure('encoders')}"
        ) from error


class Jpeg(QualityCodec):
    """JPEG 4:4:4 by Pillow's libjpeg-turbo.

    With the standard Huffman tables by default, because only these agree with ProxIQA's
    Table II. They cost .23 bits per pixel at least on Kodak, so the curve begins higher than
    the others, at quality 4: below it images are blocks of one color.
    """

    settings = tuple(str(quality) for quality in range(4, 101))

    def __init__(self, optimized: bool = False, qualities: Sequence[int] = ()) -> None:
        """A codec with standard or, per image, optimized Huffman tables.

        Args:
          optimized: which.
          qualities: as for `QualityCodec`.
        """
        super().__init__(qualities)
        self.name = "jpeg_optimized" if optimized else "jpeg"
        self._optimized = optimized

    def options(self, setting: str) -> dict:
        return {"quality": int(setting), "subsampling": 0, "optimize": self._optimized}

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        return pillow_encode(image, "JPEG", self.name, self.options(setting))

    def version(self) -> str:
        return f"libjpeg-turbo {features.version('libjpeg_turbo')}"


class FlatJpeg(Jpeg):
    """The same with tables of one step for all frequencies and planes: a setting is that step.

    What learned tables must beat: no step is chosen by anything but the rate.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        """A codec with standard Huffman tables for some steps, rising rate."""
        super().__init__(qualities=steps)
        self.name = "jpeg_flat"

    def options(self, setting: str) -> dict:
        table = [int(setting)] * 64
        return {"qtables": [table, table], "subsampling": 0, "optimize": False}


class Jpeg2000(ImageCodec):
    """JPEG 2000 by Pillow's OpenJPEG: 9/7 wavelet, color transform, one layer, no JP2 boxes.

    A setting is the compression ratio, from which OpenJPEG controls the rate by itself.
    """

    name = "jpeg2000"
    searched = False
    settings = tuple(f"{24 / bpp:.4f}" for bpp in np.geomspace(LOWEST_BPP, HIGHEST_BPP, POINTS))

    def setting_for(self, bpp: float) -> str:
        return f"{24 / bpp:.4f}"

    def options(self, setting: str) -> dict:
        return jpeg2000_options(float(setting))

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        return pillow_encode(image, "JPEG2000", self.name, self.options(setting))

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        return pillow_decode(file.data, self.name)

    def version(self) -> str:
        return f"OpenJPEG {features.version('jpg_2000')}"


class Hevc(ImageCodec):
    """HEVC intra by ffmpeg's libx265 with the tools of HM's intra main_rext configuration.

    A setting is the slice's quantization parameter. The file is the elementary stream with its
    parameter sets; their 83 bytes count as rate.
    """

    settings = tuple(str(qp) for qp in range(51, -1, -1))
    cost = 1
    _SMALLEST = 64  # pixels, that of a coding tree unit
    _PRESET = "placebo"
    # ipratio=1 because x265 otherwise codes intra slices three steps finer than asked.
    _OPTIONS = (
        "keyint=1:ipratio=1:aq-mode=0:psy-rd=0:psy-rdoq=0:cutree=0:info=0:no-wpp=1:"
        "frame-threads=1:pools=none:no-scenecut=1:no-open-gop=1:ctu=64:min-cu-size=8:rd=6:"
        "rdoq-level=2:tu-intra-depth=4:tskip=1:signhide=1:strong-intra-smoothing=1:fast-intra=0:"
        "sao=1:log-level=error"
    )
    _FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"

    def __init__(self, sampling: int) -> None:
        """A codec with chroma sampling 444 or 420."""
        if sampling not in (444, 420):
            raise ValueError(f"sampling must be 444 or 420, got {sampling}")
        self.name = f"hevc{sampling}"
        self._format = f"yuv{sampling}p"

    def options(self, setting: str) -> dict:
        return {
            "preset": self._PRESET,
            "x265": f"qp={setting}:{self._OPTIONS}",
            "conversion": [self._format, "bt601", "tv", self._FLAGS],
        }

    def check(self, height: int, width: int) -> None:
        if min(height, width) < self._SMALLEST:
            raise CodecError(f"{self.name} needs {self._SMALLEST} pixels, got {width}x{height}")
        if self._format == "yuv420p" and (height % 2 or width % 2):
            raise CodecError(f"{self.name} needs even sides, got {width}x{height}")

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        height, width = image.shape[:2]
        self.check(height, width)
        colors = f"out_color_matrix=bt601:out_range=tv:{self._FLAGS}"
        arguments = [
            *("-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
            *("-i", "pipe:0", "-vf", f"scale={colors},format={self._format}"),
            *("-c:v", "libx265", "-preset", self._PRESET),
            *("-x265-params", self.options(setting)["x265"], "-f", "hevc", "pipe:1"),
        ]
        return EncodedFile(self._run(arguments, image.tobytes()), height, width)

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        colors = f"in_color_matrix=bt601:in_range=tv:{self._FLAGS}"
        arguments = [
            *("-v", "error", "-f", "hevc", "-i", "pipe:0"),
            *("-vf", f"scale={colors},format=rgb24", "-f", "image2pipe"),
            *("-c:v", "ppm", "pipe:1"),
        ]
        return pillow_decode(self._run(arguments, file.data), self.name)

    def version(self) -> str:
        return _x265_version(ffmpeg.executable())

    def _run(self, arguments: list[str], stdin: bytes) -> bytes:
        try:
            out = ffmpeg.run(["-threads", "1", *arguments], stdin)
        except ffmpeg.FFmpegError as error:
            raise CodecError(f"{self.name}: {error}") from error
        if not out:
            raise CodecError(f"{self.name}: ffmpeg wrote nothing, the stream is damaged")
        return out


def pillow_encode(image: np.ndarray, kind: str, name: str, options: dict) -> EncodedFile:
    """The file of an image in a format that Pillow knows; raises CodecError."""
    height, width = image.shape[:2]
    file = io.BytesIO()
    try:
        Image.fromarray(image).save(file, kind, **options)
    except (OSError, ValueError) as error:
        raise CodecError(f"{name} cannot code an image of {width}x{height}: {error}") from error
    return EncodedFile(file.getvalue(), height, width)


def pillow_decode(data: bytes, name: str) -> np.ndarray:
    """The image of a file that Pillow knows, for a codec of that name; raises CodecError."""
    try:
        return by_pillow(data)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CodecError(f"{name} cannot decode its file: {error}") from error


@functools.cache
def _x265_version(program: str) -> str:
    """What x265 calls itself; it says so only while it encodes."""
    source = ["-f", "lavfi", "-i", "color=size=64x64:duration=0.04"]
    command = [program, "-v", "info", *source, "-c:v", "libx265", "-f", "null", os.devnull]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CodecError(f"hevc: {program} does not run: {error}") from error
    said = done.stderr.decode(errors="replace")
    found = re.search(r"HEVC encoder version (\S+)", said)
    if found is None:
        raise CodecError(f"hevc: {program} has no libx265: {said.strip()[-300:]}")
    return f"x265 {found.group(1)}"
