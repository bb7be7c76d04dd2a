"""The paper's own encoders where the user has them: HM, Kakadu and JPEG XT (Table III).

They are run as separate programs on files in a temporary folder, without a shell. Their
arguments are those of their manuals; the programs themselves cannot be had from a package
registry, so only the way they are called is tested.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
from PIL import Image

from lossylab.core import ffmpeg
from lossylab.core.digest import file_digest
from lossylab.core.errors import CodecError
from lossylab.inference.codecs.base import (
    HIGHEST_BPP,
    LOWEST_BPP,
    POINTS,
    EncodedFile,
    ImageCodec,
)

_SECONDS = 600
_SCALE = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


@dataclasses.dataclass(frozen=True)
class Commands:
    """How a pair of programs is called.

    Attributes:
      encode: arguments of the encoder; {input}, {output}, {setting}, {width}, {height} and
        {config} are replaced.
      decode: arguments of the decoder, likewise.
      settings: from low to high rate.
      searched: see `ImageCodec`.
      suffix: of the compressed file.
      pixels: 'ppm' files, or raw planes 'yuv444p' or 'yuv420p' in BT.601 limited range.
    """

    encode: tuple[str, ...]
    decode: tuple[str, ...]
    settings: tuple[str, ...]
    searched: bool
    suffix: str
    pixels: str


_HM = {
    "encode": (
        *("-c", "{config}", "-i", "{input}", "-b", "{output}", "-o", "/dev/null", "-f", "1"),
        *("-fr", "1", "-wdt", "{width}", "-hgt", "{height}", "-q", "{setting}"),
        *("--InputBitDepth=8", "--ConformanceWindowMode=1"),
    ),
    "decode": ("-b", "{input}", "-o", "{output}", "-d", "8"),
    "settings": tuple(str(qp) for qp in range(51, -1, -1)),
    "searched": True,
    "suffix": ".bin",
}
_RATES = tuple(f"{rate:.4f}" for rate in np.geomspace(LOWEST_BPP, HIGHEST_BPP, POINTS))

KNOWN = {
    "hm444": Commands(
        **{**_HM, "encode": (*_HM["encode"], "--InputChromaFormat=444")}, pixels="yuv444p"
    ),
    "hm420": Commands(
        **{**_HM, "encode": (*_HM["encode"], "--InputChromaFormat=420")}, pixels="yuv420p"
    ),
    "kakadu": Commands(
        # Without -no_weights Kakadu optimizes for visibility, not for mean squared error.
        encode=("-i", "{input}", "-o", "{output}", "-rate", "{setting}", "-no_weights"),
        decode=("-i", "{input}", "-o", "{output}"),
        settings=_RATES,
        searched=False,
        suffix=".j2c",
        pixels="ppm",
    ),
    "jpegxt": Commands(
        encode=("-q", "{setting}", "-s", "1x1,1x1,1x1", "{input}", "{output}"),
        decode=("{input}", "{output}"),
        settings=tuple(str(quality) for quality in range(1, 101)),
        searched=True,
        suffix=".jpg",
        pixels="ppm",
    ),
}


class External(ImageCodec):
    """A codec whose programs the user has installed."""

    def __init__(self, name: str, encoder: str, decoder: str, config: str = "") -> None:
        """Finds the programs.

        Args:
          name: one of `KNOWN`.
          encoder: program, path or name.
          decoder: likewise.
          config: configuration file, which hm444 and hm420 need.

        Raises:
          CodecError: if a program or the configuration file is missing.
        """
        self.name, self._commands = name, KNOWN[name]
        self.settings, self.searched = self._commands.settings, self._commands.searched
        self._programs = {"encode": _find(name, encoder), "decode": _find(name, decoder)}
        self._config = config
        if "{config}" in self._commands.encode and not pathlib.Path(config).is_file():
            raise CodecError(f"{name} needs its configuration file, there is none at '{config}'")

    def check(self, height: int, width: int) -> None:
        if self._commands.pixels == "yuv420p" and (height % 2 or width % 2):
            raise CodecError(f"{self.name} needs even sides, got {width}x{height}")

    def version(self) -> str:
        return " ".join(f"{p.name} sha256:{_hash(str(p))}" for p in self._programs.values())

    def options(self, setting: str) -> dict:
        config = pathlib.Path(self._config).read_text() if self._config else ""
        return {"arguments": self._commands.encode, "setting": setting, "config": config}

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        height, width = image.shape[:2]
        self.check(height, width)
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "input"
            if self._commands.pixels == "ppm":
                source = source.with_suffix(".ppm")
                Image.fromarray(image).save(source)
            else:
                source.write_bytes(self._planes(image))
            target = pathlib.Path(folder) / f"output{self._commands.suffix}"
            size = {"setting": setting, "width": width, "height": height}
            data = self._run("encode", source, target, size)
        return EncodedFile(data, height, width)

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / f"input{self._commands.suffix}"
            source.write_bytes(file.data)
            if self._commands.pixels == "ppm":
                target = pathlib.Path(folder) / "output.ppm"
                self._run("decode", source, target, {})
                try:
                    with Image.open(target) as image:
                        return np.array(image.convert("RGB"))
                except (OSError, ValueError) as error:
                    raise CodecError(f"{self.name}: the decoder's image: {error}") from error
            planes = self._run("decode", source, pathlib.Path(folder) / "output.yuv", {})
        return self._image(planes, file.height, file.width)

    def _run(self, verb: str, source: pathlib.Path, target: pathlib.Path, fields: dict) -> bytes:
        template = getattr(self._commands, verb)
        fields = {**fields, "input": source, "output": target, "config": self._config}
        command = [str(self._programs[verb]), *(word.format(**fields) for word in template)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CodecError(f"{self.name}: {command[0]} does not run: {error}") from error
        if done.returncode or not target.exists():
            said = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
            raise CodecError(
                f"{self.name}: {command[0]} failed with status {done.returncode}: {said}"
            )
        return target.read_bytes()

    def _planes(self, image: np.ndarray) -> bytes:
        """8-bit planes of an image, BT.601 limited range."""
        height, width = image.shape[:2]
        scale = f"scale=out_color_matrix=bt601:out_range=tv:{_SCALE},format={self._commands.pixels}"
        return self._convert("rgb24", height, width, scale, image.tobytes())

    def _image(self, planes: bytes, height: int, width: int) -> np.ndarray:
        """The image of such planes."""
        expected = height * width * (3 if self._commands.pixels == "yuv444p" else 3 / 2)
        if len(planes) != expected:
            raise CodecError(
                f"{self.name}: the decoder gave {len(planes)} bytes, not those of {width}x{height} "
                "pixels of 8 bits"
            )
        scale = f"scale=in_color_matrix=bt601:in_range=tv:{_SCALE},format=rgb24"
        data = self._convert(self._commands.pixels, height, width, scale, planes)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)

    def _convert(self, pixels: str, height: int, width: int, scale: str, data: bytes) -> bytes:
        source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-i", "pipe:0"]
        try:
            return ffmpeg.run(
                ["-v", "error", *source, "-vf", scale, "-f", "rawvideo", "pipe:1"], data
            )
        except ffmpeg.FFmpegError as error:
            raise CodecError(f"{self.name}: {error}") from error


def _find(name: str, program: str) -> pathlib.Path:
    found = shutil.which(program)
    if found is None:
        raise CodecError(f"{name}: there is no program '{program}'")
    return pathlib.Path(found)


@functools.cache
def _hash(path: str) -> str:
    return file_digest(path)[:12]
