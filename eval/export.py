"""Writing a trained codec as a SavedModel, and loading one safely.

Loading needs TensorFlow and tensorflow-compression, but no lossylab:

  import tensorflow as tf, tensorflow_compression
  model = tf.saved_model.load("runs/vmaf/export").signatures
  string = model["compress"](picture=picture)["string"]
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf
import tensorflow_compression  # noqa: F401 - registers the range coder's operations

from lossylab.data.files import OutputError, make_folder
from lossylab.eval.app import UsageError
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.serving import SIGNATURES, ServedCodec


class ExportError(UsageError):
    """A folder that is no usable lossylab codec; the message says what is wrong."""


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A coded picture: its bits and the true size.

    Attributes:
      string: the range coder's output.
      height: of the picture in pixels.
      width: of the picture in pixels.
      bits: estimated length of `string` in bits.
    """

    string: bytes
    height: int
    width: int
    bits: float = float("nan")


class Codec:
    """A loaded export: arrays in, arrays out."""

    def __init__(self, path: str):
        """Loads an export.

        Raises:
          ExportError: if `path` has no SavedModel or lacks a signature.
        """
        self.path = path
        self._functions = _load(path)
        info = json.loads(self._functions["describe"]()["info"].numpy())
        self.model_id: str = info["model"]
        self.weights: str = info["weights"]
        self.options: dict = info["options"]
        self.max_pixels: int = info.get("max_pixels", BLS2017.max_pixels)

    def compress(self, picture: np.ndarray) -> Encoded:
        """Codes a picture, uint8 [H, W, 3]."""
        out = self._functions["compress"](picture=tf.constant(picture))
        height, width = picture.shape[:2]
        return Encoded(out["string"].numpy(), height, width, float(out["bits"]))

    def decompress(self, encoded: Encoded) -> np.ndarray:
        """The picture, uint8 [height, width, 3].

        Raises:
          tf.errors.OpError: if the string does not fit the model.
        """
        out = self._functions["decompress"](
            string=tf.constant(encoded.string),
            height=tf.constant(encoded.height),
            width=tf.constant(encoded.width),
        )
        return out["picture"].numpy()

    def reconstruct(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """What decoding would give, and the estimated bits."""
        out = self._functions["reconstruct"](picture=tf.constant(picture))
        return out["picture"].numpy(), float(out["bits"])


def save_codec(codec: BLS2017 | BMSHJ2018, path: str, options: dict) -> None:
    """Freezes a codec and writes it as a SavedModel, beside first, then renamed.

    Args:
      codec: the trained model.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      OutputError: if the folder cannot be written.
    """
    target = pathlib.Path(path)
    make_folder(target.parent)
    new, old = target.with_name(f".{target.name}-new"), target.with_name(f".{target.name}-old")
    if old.exists() and not target.exists():
        os.rename(old, target)  # an earlier call was killed between the two renames below
    served = ServedCodec(codec, options)
    try:
        shutil.rmtree(new, ignore_errors=True)
        tf.saved_model.save(served, str(new), signatures=served.signatures())
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.rename(target, old)
        os.rename(new, target)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        raise OutputError(f"cannot write the export {target}: {error}") from error


def fingerprint(path: str) -> str:
    """SHA-256 over an export's stored weights and tables, in hexadecimal.

    Tells exports apart without loading them, which takes a second or two. The graph beside the
    weights is left out: TensorFlow writes it differently every time.

    Raises:
      ExportError: if `path` has no SavedModel.
    """
    _check(path)
    digest = hashlib.sha256()
    for file in sorted((pathlib.Path(path) / "variables").iterdir()):
        digest.update(file.name.encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _check(path: str) -> None:
    if not os.path.isdir(path):
        raise ExportError(f"--model={path}: no such folder; expected RUN_DIR/export")
    if not tf.saved_model.contains_saved_model(path):
        hint = os.path.join(path, "export")
        cure = f"; did you mean {hint}?" if tf.saved_model.contains_saved_model(hint) else ""
        raise ExportError(f"--model={path}: the folder has no SavedModel{cure}")


def _load(path: str):
    _check(path)
    try:
        model = tf.saved_model.load(path)
    except (OSError, tf.errors.OpError, ValueError, LookupError) as error:
        raise ExportError(f"--model={path}: damaged SavedModel: {error}") from error
    lacking = [name for name in SIGNATURES if name not in model.signatures]
    if lacking:
        raise ExportError(
            f"--model={path}: not a lossylab codec, it lacks the signatures {', '.join(lacking)}"
        )
    functions = dict(model.signatures)
    functions["keep_alive"] = model  # the functions use its variables
    return functions
