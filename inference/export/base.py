"""Writing and loading SavedModels safely."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from lossylab.core.errors import ExportError, OutputError
from lossylab.core.files import make_folder


class Loaded:
    """An export that says what it is.

    Attributes:
      path: where it was loaded from.
      info: all that it says of its network.
      parameters: trainable weights.
      weights: their hash.
      options: how it was trained.
    """

    def __init__(self, path: str, signatures: Sequence[str], kind: str):
        """Loads an export.

        Args:
          path: its folder.
          signatures: names that it must have.
          kind: what it should be, for the error.

        Raises:
          ExportError: if `path` has no SavedModel or it is of another kind.
        """
        self.path = path
        self._functions = load(path, signatures, kind)
        self.info: dict = json.loads(self._functions["describe"]()["info"].numpy())
        self.parameters: int = self.info["parameters"]
        self.weights: str = self.info["weights"]
        self.options: dict = self.info["options"]


def write(served: tf.Module, signatures: dict, path: str) -> None:
    """Writes a SavedModel beside `path`, then renames it; one that is there is replaced.

    Args:
      served: the module.
      signatures: concrete functions by name.
      path: folder to write.

    Raises:
      OutputError: if the folder cannot be written, or holds something else.
    """
    target = pathlib.Path(path)
    make_folder(target.parent)
    if target.is_dir() and any(target.iterdir()) and not tf.saved_model.contains_saved_model(path):
        raise OutputError(f"{target} holds something that is no SavedModel: choose another folder")
    new, old = target.with_name(f".{target.name}-new"), target.with_name(f".{target.name}-old")
    if old.exists() and not target.exists():
        os.rename(old, target)  # an earlier call was killed between the two renames below
    try:
        shutil.rmtree(new, ignore_errors=True)
        tf.saved_model.save(served, str(new), signatures=signatures)
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


def signature_names(path: str) -> set[str]:
    """Names of an export's signatures, without loading it.

    Raises:
      ExportError: if `path` has no SavedModel, or a damaged one.
    """
    _check(path)
    found = saved_model_pb2.SavedModel()
    try:
        found.ParseFromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ExportError(f"--model={path}: damaged SavedModel: {error}") from error
    return {name for graph in found.meta_graphs for name in graph.signature_def}


def _check(path: str) -> None:
    if not os.path.isdir(path):
        raise ExportError(f"--model={path}: no such folder; expected RUN_DIR/export")
    if not tf.saved_model.contains_saved_model(path):
        hint = os.path.join(path, "export")
        cure = f"; did you mean {hint}?" if tf.saved_model.contains_saved_model(hint) else ""
        raise ExportError(f"--model={path}: the folder has no SavedModel{cure}")


def load(path: str, signatures: Sequence[str], kind: str) -> dict:
    """The functions of an export by signature name.

    Args:
      path: folder of the SavedModel.
      signatures: names it must have.
      kind: what they make it, for the message: 'codec'.

    Raises:
      ExportError: if there is no SavedModel, it is damaged, or it lacks a signature.
    """
    _check(path)
    try:
        model = tf.saved_model.load(path)
    except (OSError, tf.errors.OpError, ValueError, LookupError) as error:
        raise ExportError(f"--model={path}: damaged SavedModel: {error}") from error
    lacking = [name for name in signatures if name not in model.signatures]
    if lacking:
        raise ExportError(
            f"--model={path}: not a lossylab {kind}, it lacks the signatures {', '.join(lacking)}"
        )
    functions = dict(model.signatures)
    functions["keep_alive"] = model  # the functions use its variables
    return functions
