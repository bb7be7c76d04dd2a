"""Codecs by name: the classical ones, and exported models as points of a curve."""

from __future__ import annotations

import abc
import collections
import fnmatch
import glob
import pathlib
import re
import threading
from collections.abc import Sequence
from importlib import metadata

import numpy as np

from lossylab.core.options import naming, repeated, require
from lossylab.inference.codecs import jpeg_files
from lossylab.inference.codecs.base import EncodedFile, ImageCodec
from lossylab.inference.codecs.classical import Hevc, Jpeg, Jpeg2000, pillow_decode
from lossylab.inference.codecs.formats import FORMATS
from lossylab.inference.codecs.other_jpegs import OTHERS
from lossylab.inference.export import container, zoo
from lossylab.inference.export.base import card_of, fingerprint, signature_names
from lossylab.inference.export.codec import REVISION, Codec
from lossylab.inference.export.jpeg import Encoder


class _Exports(ImageCodec):
    """Exported models, one a point of the curve; loaded when they are needed first.

    Settings are the names of the runs that the exports lie in.
    """

    searched = False

    def __init__(self, name: str, exports: list[str]) -> None:
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

    def prepare(self, image: np.ndarray, setting: str) -> None:
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

    def options(self, setting: str) -> dict:
        return {"run": setting, "export": self._fingerprints[setting]}

    def trainings(self) -> list[dict]:
        """Options of the trainings of all exports, read from their cards."""
        return [card_of(path).get("options", {}) for path in self._paths.values()]

    @abc.abstractmethod
    def _load(self, path: str):
        """The model of an export."""

    @abc.abstractmethod
    def _warm_up(self, model, image: np.ndarray) -> None:
        """Does what is slow the first time."""


class Learned(_Exports):
    """Exported lossylab codecs."""

    keeps_files = True

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        data, bits = container.compress(self.model(setting), image)
        height, width = image.shape[:2]
        return EncodedFile(data, height, width, bits)

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        return container.decompress(self.model(setting), file.data)

    def version(self) -> str:
        return f"tensorflow-compression {metadata.version('tensorflow-compression')}"

    def options(self, setting: str) -> dict:
        return {**super().options(setting), "serving": REVISION}

    def _load(self, path: str) -> Codec:
        return Codec(path)

    def _warm_up(self, model: Codec, image: np.ndarray) -> None:
        model.decompress(model.compress(image))


class LearnedJpeg(_Exports):
    """Exported JPEG encoders, whose files Pillow decodes; standard Huffman tables."""

    def encode(self, image: np.ndarray, setting: str) -> EncodedFile:
        data = jpeg_files.to_bytes(self.model(setting).encode(image))
        return EncodedFile(data, *image.shape[:2])

    def decode(self, file: EncodedFile, setting: str) -> np.ndarray:
        return pillow_decode(file.data, self.name)

    def version(self) -> str:
        return f"jpeglib {metadata.version('jpeglib')}, {Jpeg().version()}"

    def _load(self, path: str) -> Encoder:
        return Encoder(path)

    def _warm_up(self, model: Encoder, image: np.ndarray) -> None:
        model.encode(image)


# Name -> codec, of those that need no training; `version` raises CodecError where one is missing.
CLASSICAL = {
    "jpeg": Jpeg,
    "jpeg_optimized": lambda: Jpeg(optimized=True),
    "jpeg2000": Jpeg2000,
    "hevc444": lambda: Hevc(444),
    "hevc420": lambda: Hevc(420),
    **FORMATS,
    **OTHERS,
}


def learned(models: Sequence[str]) -> list[Learned | LearnedJpeg]:
    """The codecs that an option `models` names, of either kind.

    Args:
      models: NAME:EXPORT each; EXPORT may be a pattern such as runs/mse_*/export, or of names
        that `lossylab models` lists, whose matches are taken in the order of the numbers in them.
        Exports of one name are points of one curve.

    Raises:
      UsageError: if one is not of that form, matches nothing, or two have the same name.
      ExportError: if one is no export.
    """
    exports = collections.defaultdict(list)
    for model in models:
        name, colon, pattern = model.partition(":")
        require(bool(name and colon and pattern), f"`models` takes NAME:EXPORT, got {model}")
        require(name not in CLASSICAL, f"`models`: '{name}' is the name of another codec")
        found = [pattern]
        if glob.has_magic(pattern):
            matches = glob.glob(pattern) or fnmatch.filter(zoo.names(), pattern)
            found = sorted(matches, key=_numbers)
        require(bool(found), f"`models`: nothing matches {pattern}")
        exports[name] += found
    with naming("models"):
        codecs = [_kind_of(name, paths)(name, paths) for name, paths in exports.items()]
    for codec in codecs:
        same = repeated(codec.settings)
        require(
            not same,
            f"`models`: several exports of {codec.name} are called {', '.join(same)}: rows would "
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
    """vmaf_p_0.01 of runs/vmaf_p_0.01/export, with the steps of an export made on the way.

    A model that has a name is called so.
    """
    if zoo.is_named(path):
        return path
    export = pathlib.Path(path).resolve()
    steps = export.name.removeprefix("export")
    return f"{export.parent.name}{steps}"
