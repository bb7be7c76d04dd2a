"""One Export for all kinds of networks: a SavedModel with fixed signatures and a card.

  lossylab.load("runs/wcdgan_q10/export").restore(image)

Exports need TensorFlow, codecs tensorflow-compression too, but no lossylab:

  import tensorflow as tf
  model = tf.saved_model.load("runs/wcdgan_q10/export").signatures
  restored = model["restore"](image=image)["restored"]

A SavedModel is a program: loading and calling one can read and write files. Load none that you do
not trust; `core.export_folder.content_hash` and `core.trust` hold an export to a known hash.

No output is called as an input, so that signatures can be converted to ONNX. Beside those that the
modules of `_KINDS` name, all kinds have describe() -> card, JSON text.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import importlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from lossylab.core import export_folder
from lossylab.core.digest import weights_hash
from lossylab.core.errors import ExportError, OutputError, UsageError
from lossylab.core.files import make_folder, plainly_named
from lossylab.core.options import require
from lossylab.inference.export import narrowing, network_file, zoo
from lossylab.models.layers.precision import compute_dtype, policy

# The signature that tells a kind of export, and the class that loads it.
_KINDS = {
    "compress": "lossylab.inference.export.codec:Codec",
    "restore": "lossylab.inference.export.restorer:Restorer",
    "encode": "lossylab.inference.export.jpeg:Encoder",
    "distort": "lossylab.inference.export.distorter:Distorter",
    "nll": "lossylab.inference.export.degradation:Degradation",
    "score": "lossylab.inference.export.rankiqa:Scorer",
    "generate": "lossylab.inference.latent.generator:Generator",
}
_NETWORK = "assets.extra/network.npz"  # in an export, beside the program
# What cards of models that have names say, and those of their exports do, too.
_TOLD = ("weights", "steps", "data", "license", "summary", "quality", "hours")
_TOLD_OF_SOME = ("useful_to", "gains")
_OLD_NAMES = {"reach": "receptive_field_radius"}  # in cards of version 0.1.0
_OLD_INPUTS = {"image": "picture"}  # of signatures, by their names now


@dataclasses.dataclass(frozen=True)
class Served:
    """What is stored of a network.

    Attributes:
      network: its variables are stored.
      functions: with input signatures, by name.
      details: what the card says of this kind besides, JSON values.
      tables: what decides bytes and another machine might compute otherwise from the weights.
    """

    network: tf.Module
    functions: Mapping[str, tf.types.experimental.GenericFunction]
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Export(abc.ABC):
    """A loaded export; a subclass for each kind.

    Attributes:
      kind: what it is: codec, restorer, jpeg_encoder, distorter, degradation, scorer or generator.
      signatures: functions that it must have.
      packages: whose versions the card names.
      path: where it was loaded from.
      card: all that it says of itself.
      model: the network's name.
      options: how it was trained.
      weights: hash of the weights.
      precision: what its convolutions compute in; decoders of codecs always in float32.
      parameters: trainable weights; 0 if the card does not say.
    """

    kind: ClassVar[str]
    signatures: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]] = ("lossylab", "tensorflow")

    def __init__(self, path: str | os.PathLike) -> None:
        """Loads an export.

        Args:
          path: its folder, or the name of a model that comes with lossylab.

        Raises:
          ExportError: if there is no SavedModel, it is damaged, or it is of another kind.
        """
        self.path = located(path)
        self._functions = _functions(self.path, (*self.signatures, "describe"), self.kind)
        try:
            card = json.loads(self._only("describe").numpy())
            self.card = {_OLD_NAMES.get(name, name): value for name, value in card.items()}
            self.model: str = self.card["model"]
            self.options: dict = self.card["options"]
            self.weights: str = self.card["weights"]
            if not isinstance(self.options, dict) or not isinstance(self.weights, str):
                raise TypeError("its card is no card")
        except (AttributeError, LookupError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ExportError(f"{path}: its description is no lossylab export's") from error
        self.parameters: int = self.card.get("parameters", 0)
        self.precision: str = self.card.get("precision", narrowing.FLOAT32)

    @property
    def identity(self) -> str:
        """Names what it computes: the weights, and the precision if that is another than usual."""
        exact = self.precision == narrowing.FLOAT32
        return self.weights if exact else f"{self.weights} {self.precision}"

    @classmethod
    @abc.abstractmethod
    def serve(cls, network: Any) -> Served:
        """What is stored of a network of this kind; raises ValueError if it is none."""

    @classmethod
    def serve_with(cls, network: Any, tables: Mapping[str, np.ndarray]) -> Served:
        """`serve`, with the tables that were built of these weights before, if there are some."""
        del tables  # only codecs build some
        return cls.serve(network)

    @classmethod
    def shown(cls, network: Any, images: tf.Tensor) -> tf.Tensor:
        """What a user sees of images, both float32 [B, H, W, C]; decides over bfloat16."""
        raise ExportError(f"exports of kind {cls.kind} compute in float32")

    @classmethod
    def save(
        cls,
        network: Any,
        path: str | os.PathLike,
        options: dict,
        precision: str = narrowing.FLOAT32,
        tables: Mapping[str, np.ndarray] | None = None,
        **known: str | float | None,
    ) -> None:
        """Writes a network as an export: beside `path`, then renamed.

        Args:
          network: the network, with a `model_id`.
          path: folder to write; an export that is there is replaced.
          options: how it was trained, JSON values.
          precision: what convolutions compute in: float32 or, of kinds with `shown`, bfloat16.
          tables: those that were built of these weights before.
          **known: what else the card says: `steps` of training and `data`, if they are not the
            options' `steps` and `train_data`; `license`.

        Raises:
          OutputError: if the folder cannot be written, or holds something else.
          ExportError: if bfloat16 changes what is seen by more than half a pixel value on average.
        """
        measured: dict[str, str | float] = {"precision": precision}
        if precision != narrowing.FLOAT32:
            show = functools.partial(cls.shown, network)
            images = narrowing.patches(getattr(network, "channels", 3), cls.kind == "restorer")
            measured["precision_difference"] = narrowing.difference(show, images, precision)
        served = cls.serve_with(network, tables) if tables else cls.serve(network)
        card = {
            "kind": cls.kind,
            "model": network.model_id,
            "weights": weights_hash(served.network),
            "parameters": sum(v.shape.num_elements() for v in network.trainable_variables),
            "options": options,
            "versions": {package: _version(package) for package in cls.packages},
            "value_range": [0, 255],
            "steps": options.get("steps"),
            "data": options.get("train_data"),
            "license": None,
            **measured,
            **served.details,
            **known,
        }
        with policy(narrowing.policy(precision), chained=True):
            _write(served, card, network, pathlib.Path(path))

    def network(self) -> Any:
        """The Keras model that was exported, with its weights, to train on or to build upon.

        Raises:
          ExportError: if the export is of lossylab 0.1, which kept none, or was damaged.
        """
        return network_file.read(network_path(self.path))

    def _call(self, name: str, **inputs: Any) -> dict[str, tf.Tensor]:
        """What a signature gives, by name; older exports have other names for inputs.

        Raises:
          UsageError: if an input has another shape or type than the signature says, or is empty.
        """
        function = self._functions[name]
        known = function.structured_input_signature[1]
        given = {}
        for key, value in inputs.items():
            place = key if key in known else _OLD_INPUTS.get(key, key)
            given[place] = tensor = tf.convert_to_tensor(value)
            spec = known[place]
            if tensor.dtype != spec.dtype or not spec.shape.is_compatible_with(tensor.shape):
                raise UsageError(
                    f"{name} expects {key} {spec.dtype.name} {_dimensions(spec.shape)}, got "
                    f"{tensor.dtype.name} {_dimensions(tensor.shape)}"
                )
            empty = tensor.shape.num_elements() == 0
            require(not empty, f"{name} got an empty {key} {_dimensions(tensor.shape)}")
        return function(**given)

    def _only(self, name: str, **inputs: Any) -> tf.Tensor:
        """What a signature of one output gives; older exports have other names for it."""
        (output,) = self._call(name, **inputs).values()
        return output


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Pixel values rounded and clipped; TensorFlow Lite knows these operations."""
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)


def load(path: str | os.PathLike) -> Export:
    """The export in a folder, or the model of a name, of the class that its signatures tell.

    Raises:
      ExportError: if there is no SavedModel, it is damaged, or of no kind that is known.
    """
    path = located(path)
    names = signature_names(path)
    for mark in _KINDS:
        if mark in names:
            return _class_of(mark)(path)
    raise ExportError(
        f"{path}: no lossylab export, its signatures are {', '.join(sorted(names)) or 'none'}"
    )


def located(path: str | os.PathLike) -> str:
    """The folder of an export; that of a model that has a name is made when first asked for.

    Args:
      path: a folder, or a name of `lossylab models`.

    Raises:
      ExportError: if the model's file is damaged.
      OutputError: if the export cannot be written.
    """
    name = os.fspath(path)
    if not zoo.is_named(name):
        return name
    card, target = zoo.card(name), zoo.place(name)
    if export_folder.is_saved_model(target):
        return str(target)
    with open(make_folder(target.parent) / ".lock", "a") as lock:
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not export_folder.is_saved_model(target):
            known = {key: card[key] for key in _TOLD}
            known |= {key: card[key] for key in _TOLD_OF_SOME if key in card}
            file = zoo.weights(name)
            network, tables = network_file.read(file), network_file.tables(file)
            class_of(card["kind"]).save(network, target, card["options"], tables=tables, **known)
    return str(target)


def is_export(path: str | os.PathLike) -> bool:
    """Whether it is an export or the name of a model; nothing is loaded."""
    return zoo.is_named(path) or export_folder.is_saved_model(path)


def card_of(path: str | os.PathLike) -> dict:
    """What an export or a model that has a name says of itself; raises ExportError."""
    if zoo.is_named(path):
        return zoo.card(os.fspath(path))
    return export_folder.read_card(path) or load(path).card


def network_path(path: str | os.PathLike) -> pathlib.Path:
    """The file of the network of an export or model, for `network_file`; its program is not run.

    Raises:
      ExportError: if there is none, or it is damaged.
    """
    if zoo.is_named(path):
        return zoo.weights(os.fspath(path))
    export_folder.find(path)
    found = pathlib.Path(path) / _NETWORK
    if not found.exists():
        raise ExportError(
            f"{path}: was made by lossylab 0.1, which kept no network: export the run again"
        )
    return found


def class_of(kind: str) -> type[Export]:
    """The class of a kind of exports."""
    return {found.kind: found for found in map(_class_of, _KINDS)}[kind]


def _class_of(mark: str) -> type[Export]:
    module, kind = _KINDS[mark].split(":")
    return getattr(importlib.import_module(module), kind)


def fingerprint(path: str | os.PathLike) -> str:
    """SHA-256 over an export's stored weights and tables, in hexadecimal.

    Tells exports apart without loading them, which takes a second or two. The graph beside the
    weights is left out: TensorFlow writes it differently every time.

    Raises:
      ExportError: if `path` has no SavedModel.
    """
    path = located(path)
    export_folder.check(path)
    digest = hashlib.sha256()
    for file in sorted((pathlib.Path(path) / "variables").iterdir()):
        digest.update(file.name.encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def signature_names(path: str | os.PathLike) -> set[str]:
    """Names of an export's signatures, without loading it.

    Raises:
      ExportError: if `path` has no SavedModel, or a damaged one.
    """
    path = located(path)
    export_folder.check(path)
    found = saved_model_pb2.SavedModel()
    try:
        found.ParseFromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ExportError(f"{path}: damaged SavedModel: {error}") from error
    names = {name for graph in found.meta_graphs for name in graph.signature_def}
    return names - {"__saved_model_init_op"}


def _functions(path: str, signatures: Sequence[str], kind: str) -> dict[str, Any]:
    """The functions of an export by signature name; errors as `Export`."""
    export_folder.check(path)
    try:
        with plainly_named(path) as name:
            model = tf.saved_model.load(name)
    except (OSError, tf.errors.OpError, ValueError, LookupError) as error:
        raise ExportError(f"{path}: damaged SavedModel: {error}") from error
    lacking = sorted(name for name in signatures if name not in model.signatures)
    if lacking:
        names = ", ".join(lacking)
        raise ExportError(
            f"{path}: no lossylab export of kind {kind}, it lacks the signatures {names}"
        )
    # The functions use the model's variables: it must live as long.
    return {**model.signatures, "keep_alive": model}


def _write(served: Served, card: dict, network: Any, target: pathlib.Path) -> None:
    """Writes a SavedModel beside `target`, then renames it; one that is there is replaced."""

    @tf.function(autograph=False, input_signature=[])
    def describe() -> dict[str, tf.Tensor]:
        return {"card": tf.constant(json.dumps(card, sort_keys=True))}

    functions = {**served.functions, "describe": describe}
    module = tf.Module(name="served")
    module.network = served.network
    if (narrow := compute_dtype()) != tf.float32:  # `fingerprint` tells the same weights apart
        module.compute_bytes = tf.Variable(narrow.size, trainable=False)
    make_folder(target.parent)
    if target.is_dir() and any(target.iterdir()) and not export_folder.is_saved_model(target):
        raise OutputError(f"{target} holds something that is no SavedModel: choose another folder")
    new, old = target.with_name(f".{target.name}-new"), target.with_name(f".{target.name}-old")
    if old.exists() and not target.exists():
        os.rename(old, target)  # an earlier call was killed between the two renames below
    try:
        shutil.rmtree(new, ignore_errors=True)
        signatures = {
            name: _checked(each).get_concrete_function() for name, each in functions.items()
        }
        with plainly_named(make_folder(new)) as name:
            tf.saved_model.save(module, name, signatures=signatures)
        network_file.write(network, new / _NETWORK)
        (new / export_folder.CARD).write_text(json.dumps(card, sort_keys=True))
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.rename(target, old)
        os.rename(new, target)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        raise OutputError(f"cannot write the export {target}: {error}") from error


def _checked(
    function: tf.types.experimental.GenericFunction,
) -> tf.types.experimental.GenericFunction:
    """The same function, which refuses inputs that are empty or of other shapes than it says.

    Loaded signatures check types only.
    """
    positional, named = function.get_concrete_function().structured_input_signature
    specs = [*positional, *named.values()]

    @tf.function(autograph=False, input_signature=specs)
    def checked(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        shaped = [tf.ensure_shape(each, spec.shape) for each, spec in zip(inputs, specs)]
        some = [tf.debugging.assert_positive(tf.size(each), "an empty input") for each in shaped]
        with tf.control_dependencies([each for each in some if each is not None]):
            return function(*map(tf.identity, shaped))

    return checked


def _dimensions(shape: tf.TensorShape) -> str:
    """A shape as messages show it: [?, ?, 3]."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
