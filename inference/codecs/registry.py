"""Codecs behind one interface: an image in, the bytes of a file out, and back.

Settings as in ProxIQA's experiments: JPEG and JPEG 2000 with 4:4:4 sampling, HEVC intra with
4:4:4 and 4:2:0 (Sec. IV-A). The paper's encoders were JPEG XT, Kakadu and HM; here are
libjpeg-turbo, OpenJPEG and x265, and `lossylab.inference.codecs.external` runs the others.
"""

from __future__ import annotations

import abc
import collections
import functools
import glob
import io
import json
import os
import pathlib
import re
import subprocess
import threading
from collections.abc import Sequence
from importlib import metadata

import numpy as np
from PIL import Image, features

from lossylab.core import ffmpeg
from lossylab.core.errors import CodecError
from lossylab.core.options import naming, repeated, require
from lossylab.data.distortions import jpeg2000_options
from lossylab.inference.codecs import jpeg_files
from lossylab.inference.codecs.jpeg_decoders import by_pillow
from lossylab.inference.export import container
from lossylab.inference.export.base import fingerprint, signature_names
from lossylab.inference.export.codec import REVISION, Codec
from lossylab.inference.export.jpeg import Encoder

LOWEST_BPP, HIGHEST_BPP, POINTS = 0.05, 2.0, 8  # Sec. IV-A


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
    def encode(self, image: np.ndarray, setting: str) -> tuple[bytes, float]:
        """An image, uint8 [H, W, 3], as a file's bytes, and the estimated bits (or NaN).

        Raises:
          CodecError: if the codec fails or cannot take the image.
        """

    @abc.abstractmethod
    def decode(self, data: bytes, setting: str) -> np.ndarray:
        """The image of a file's bytes; raises CodecError."""

    @abc.abstractmethod
    def version(self) -> str:
        """Name and version of the software."""

    def prepare(self, image: np.ndarray, setting: str) -> None:  # noqa: B027 - most need none
        """Does what only the first encoding needs, so that it is not timed."""

    def options(self, setting: str) -> dict:
        """What the software is told, JSON values."""
        return {"setting": setting}

    def identity(self, setting: str) -> str:
        """Everything but the image that decides what `encode` and `decode` give."""
        return json.dumps([self.name, self.options(setting), self.version()], sort_keys=True)

    def check(self, height: int, width: int) -> None:  # noqa: B027 - most take any size
        """Raises CodecError if the codec cannot take images of this size."""


class Jpeg(ImageCodec):
    """JPEG 4:4:4 by Pillow's libjpeg-turbo.

    With the standard Huffman tables by default, because only these agree with ProxIQA's
    Table II. They cost .23 bits per pixel at least on Kodak, so the curve begins higher than
    the others, at quality 4: below it images are blocks of one color.
    """

    settings = tuple(str(quality) for quality in range(4, 101))

    def __init__(self, optimized: bool = False, qualities: Sequence[int] = ()):
        """A codec with standard or, per image, optimized Huffman tables.

        Args:
          optimized: which.
          qualities: points of the curve, rising; searched for given rates if there are none.
        """
        self.name = "jpeg_optimized" if optimized else "jpeg"
        self._optimized = optimized
        if qualities:
            self.searched, self.settings = False, tuple(map(str, qualities))

    def options(self, setting):
        return {"quality": int(setting), "subsampling": 0, "optimize": self._optimized}

    def encode(self, image, setting):
        return _pillow_encode(image, "JPEG", self.name, self.options(setting)), float("nan")

    def decode(self, data, setting):
        return _pillow_decode(data, self.name)

    def version(self):
        return f"libjpeg-turbo {features.version('libjpeg_turbo')}"


class Jpeg2000(ImageCodec):
    """JPEG 2000 by Pillow's OpenJPEG: 9/7 wavelet, color transform, one layer, no JP2 boxes.

    A setting is the compression ratio, from which OpenJPEG controls the rate by itself.
    """

    name = "jpeg2000"
    searched = False
    settings = tuple(f"{24 / bpp:.4f}" for bpp in np.geomspace(LOWEST_BPP, HIGHEST_BPP, POINTS))

    def options(self, setting):
        return jpeg2000_options(float(setting))

    def encode(self, image, setting):
        return _pillow_encode(image, "JPEG2000", self.name, self.options(setting)), float("nan")

    def decode(self, data, setting):
        return _pillow_decode(data, self.name)

    def version(self):
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

    def __init__(self, sampling: int):
        """A codec with chroma sampling 444 or 420."""
        if sampling not in (444, 420):
            raise ValueError(f"sampling must be 444 or 420, got {sampling}")
        self.name = f"hevc{sampling}"
        self._format = f"yuv{sampling}p"

    def options(self, setting):
        return {
            "preset": self._PRESET,
            "x265": f"qp={setting}:{self._OPTIONS}",
            "conversion": [self._format, "bt601", "tv", self._FLAGS],
        }

    def check(self, height, width):
        if min(height, width) < self._SMALLEST:
            raise CodecError(f"{self.name} needs {self._SMALLEST} pixels, got {width}x{height}")
        if self._format == "yuv420p" and (height % 2 or width % 2):
            raise CodecError(f"{self.name} needs even sides, got {width}x{height}")

    def encode(self, image, setting):
        height, width = image.shape[:2]
        self.check(height, width)
        colors = f"out_color_matrix=bt601:out_range=tv:{self._FLAGS}"
        arguments = [
            *("-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
            *("-i", "pipe:0", "-vf", f"scale={colors},format={self._format}"),
            *("-c:v", "libx265", "-preset", self._PRESET),
            *("-x265-params", self.options(setting)["x265"], "-f", "hevc", "pipe:1"),
        ]
        return self._run(arguments, image.tobytes()), float("nan")

    def decode(self, data, setting):
        colors = f"in_color_matrix=bt601:in_range=tv:{self._FLAGS}"
        arguments = [
            *("-v", "error", "-f", "hevc", "-i", "pipe:0"),
            *("-vf", f"scale={colors},format=rgb24", "-f", "image2pipe"),
            *("-c:v", "ppm", "pipe:1"),
        ]
        return _pillow_decode(self._run(arguments, data), self.name)

    def version(self):
        return _x265_version(ffmpeg.executable())

    def _run(self, arguments, stdin):
        try:
            out = ffmpeg.run(["-threads", "1", *arguments], stdin)
        except ffmpeg.FFmpegError as error:
            raise CodecError(f"{self.name}: {error}") from error
        if not out:
            raise CodecError(f"{self.name}: ffmpeg wrote nothing, the stream is damaged")
        return out


class _Exports(ImageCodec):
    """Exported models, one a point of the curve; loaded when they are needed first.

    Settings are the names of the runs that the exports lie in.
    """

    searched = False

    def __init__(self, name: str, exports: list[str]):
        """Names the exports.

        Raises:
          ExportError: if one is no SavedModel.
        """
        self.name = name
        self.settings = tuple(_run_name(path) for path in exports)
        self._paths = dict(zip(self.settings, exports))
        self._fingerprints = {run: fingerprint(path) for run, path in self._paths.items()}
        self._loaded: dict = {}
        self._warm: set[str] = set()
        self._guard = threading.Lock()

    def prepare(self, image, setting):
        model = self.model(setting)
        with self._guard:  # nobody times a first encoding, nor beside one
            if setting not in self._warm:
                self._warm_up(model, image)
                self._warm.add(setting)

    def model(self, setting: str):
        """The loaded export of a setting."""
        with self._guard:
            if setting not in self._loaded:
                self._loaded[setting] = self._load(self._paths[setting])
            return self._loaded[setting]

    def options(self, setting):
        return {"run": setting, "export": self._fingerprints[setting]}

    @abc.abstractmethod
    def _load(self, path: str):
        """The model of an export."""

    @abc.abstractmethod
    def _warm_up(self, model, image: np.ndarray) -> None:
        """Does what is slow the first time."""


class Learned(_Exports):
    """Exported lossylab codecs."""

    keeps_files = True

    def encode(self, image, setting):
        return container.compress(self.model(setting), image)

    def decode(self, data, setting):
        return container.decompress(self.model(setting), data)

    def version(self):
        return f"tensorflow-compression {metadata.version('tensorflow-compression')}"

    def options(self, setting):
        return {**super().options(setting), "serving": REVISION}

    def _load(self, path):
        return Codec(path)

    def _warm_up(self, model, image):
        model.decompress(model.compress(image))


class LearnedJpeg(_Exports):
    """Exported JPEG encoders, whose files Pillow decodes; standard Huffman tables."""

    def encode(self, image, setting):
        return jpeg_files.to_bytes(self.model(setting).encode(image)), float("nan")

    def decode(self, data, setting):
        return _pillow_decode(data, self.name)

    def version(self):
        return f"jpeglib {metadata.version('jpeglib')}, {Jpeg().version()}"

    def _load(self, path):
        return Encoder(path)

    def _warm_up(self, model, image):
        model.encode(image)


# Name -> codec, of those that need nothing but this package.
CLASSICAL = {
    "jpeg": Jpeg,
    "jpeg_optimized": lambda: Jpeg(optimized=True),
    "jpeg2000": Jpeg2000,
    "hevc444": lambda: Hevc(444),
    "hevc420": lambda: Hevc(420),
}


def learned(models: Sequence[str]) -> list[Learned | LearnedJpeg]:
    """The codecs that an option `models` names, of either kind.

    Args:
      models: NAME:EXPORT each; EXPORT may be a pattern such as runs/mse_*/export, whose matches
        are taken in the order of the numbers in them. Exports of one name are points of one
        curve.

    Raises:
      UsageError: if one is not of that form, matches nothing, or has the name of a twin.
      ExportError: if one is no export.
    """
    exports = collections.defaultdict(list)
    for model in models:
        name, colon, pattern = model.partition(":")
        require(bool(name and colon and pattern), f"`models` takes NAME:EXPORT, got {model}")
        require(name not in CLASSICAL, f"`models`: '{name}' is the name of another codec")
        found = sorted(glob.glob(pattern), key=_numbers) if glob.has_magic(pattern) else [pattern]
        require(bool(found), f"`models`: nothing matches {pattern}")
        exports[name] += found
    with naming("models"):
        codecs = [_kind_of(name, paths)(name, paths) for name, paths in exports.items()]
    for codec in codecs:
        twins = repeated(codec.settings)
        require(
            not twins,
            f"`models`: several exports of {codec.name} are called {', '.join(twins)}: rows would "
            "be mixed up",
        )
    return codecs


def _kind_of(name: str, exports: Sequence[str]) -> type[Learned] | type[LearnedJpeg]:
    kinds = [set(Encoder.signatures) <= signature_names(path) for path in exports]
    require(
        all(kinds) or not any(kinds),
        f"{name} has JPEG encoders and codecs: give them two names",
    )
    return LearnedJpeg if all(kinds) else Learned


def _numbers(path: str) -> list[tuple[float, str]]:
    """A key that sorts runs/mse_0.004 before runs/mse_0.016 and both before runs/mse_2."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", path)
    return [(float(part), "") if i % 2 else (0.0, part) for i, part in enumerate(parts)]


def _run_name(path: str) -> str:
    """vmaf_p_0.01 of runs/vmaf_p_0.01/export; with the steps of an export made on the way."""
    export = pathlib.Path(path).resolve()
    steps = export.name.removeprefix("export")
    return f"{export.parent.name}{steps}"


def _pillow_encode(image: np.ndarray, kind: str, name: str, options: dict) -> bytes:
    file = io.BytesIO()
    try:
        Image.fromarray(image).save(file, kind, **options)
    except (OSError, ValueError) as error:
        height, width = image.shape[:2]
        raise CodecError(f"{name} cannot code an image of {width}x{height}: {error}") from error
    return file.getvalue()


def _pillow_decode(data: bytes, name: str) -> np.ndarray:
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
