"""What all networks and layers here share: Keras's classes, complete in every file format.

Variables are made in constructors, so that a network is whole before it sees an image, under name
scopes, so that every variable's name is the path to it: 'bls2017/analysis/conv0/bias:0'.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

# To a type checker TensorFlow's classes are of any type, and a mixin needs their attributes.
_Keras: Any = object if not TYPE_CHECKING else tf.keras.layers.Layer


class _Complete(_Keras):
    """Config of the constructor's arguments; weights of plain modules; exports without Keras."""

    def __new__(cls, *args, **kwargs):
        """Keeps the arguments for `get_config`."""
        made = super().__new__(cls, *args, **kwargs)
        arguments = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
        arguments.apply_defaults()
        _, *named = arguments.arguments.items()
        # A function, as Keras would track what a list or dictionary holds.
        object.__setattr__(made, "_constructor_arguments", functools.partial(dict, named))
        return made

    def get_config(self) -> dict:
        """The constructor's arguments as plain values, from which `from_config` makes a copy."""
        return {key: _plain(value) for key, value in self._constructor_arguments().items()}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None):
        """A new instance with fresh weights; `config` is that of `get_config`."""
        return cls(**{key: _revived(value, custom_objects) for key, value in config.items()})

    def save_own_variables(self, store) -> None:
        """Writes the variables that belong to no Keras layer below; Keras calls it to save."""
        for i, variable in enumerate(self._own_variables()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store) -> None:
        """Reads what `save_own_variables` wrote.

        Raises:
          ValueError: if the number of variables or a shape is another.
        """
        own = self._own_variables()
        if len(store.keys()) != len(own):
            raise ValueError(f"{self.name} has {len(own)} variables, the file {len(store.keys())}")
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])

    def _own_variables(self) -> list[tf.Variable]:
        """Keras saves what a layer itself has; modules of tensorflow-compression are no layers."""
        modules = [
            m
            for m in self._flatten_modules(recursive=False, include_self=False)
            if not _is_layer(m)
        ]
        inner = [variable for module in modules for variable in module.variables]
        return self._trainable_weights + self._non_trainable_weights + inner

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        """Without the functions that Keras would trace for an export: signatures say it all."""
        return super(tf.keras.layers.Layer, self)._trackable_children(save_type, **kwargs)


class Layer(_Complete, tf.keras.layers.Layer):
    """A part of networks, float32 whatever the global policy."""

    def __init__(self, name: str, autocast: bool = True):
        """Begins a layer.

        Args:
          name: of the layer, unique among its siblings.
          autocast: whether floating inputs become float32.
        """
        super().__init__(name=name, dtype="float32", autocast=autocast)
        self.built = True

    def exchange(self, name: str, module: tf.Module) -> None:
        """Puts another module in an attribute; Keras alone would keep the former's variables."""
        former = getattr(self, name)
        tracked = self._self_tracked_trackables
        tracked[:] = [each for each in tracked if each is not former]
        setattr(self, name, module)

    def scope(self) -> contextlib.AbstractContextManager:
        """In it, the constructor makes variables and layers: their names begin with its own."""
        return tf.name_scope(self.name)


class Network(_Complete, tf.keras.Model):
    """A published network, float32 whatever the global policy; usable inside other Keras models."""

    def __init__(self, name: str, autocast: bool = True):
        """Begins a network; arguments as for `Layer`."""
        super().__init__(name=name, dtype="float32", autocast=autocast)
        self.built = True

    def scope(self, part: str = "") -> contextlib.AbstractContextManager:
        """As for `Layer`, but names begin here, with that of the part if there is one."""
        return tf.name_scope(f"{self.name}/{part}/" if part else f"{self.name}/")


class BatchNorm(_Complete, tf.keras.layers.BatchNormalization):
    """Keras's batch normalization of the last axis, built at once."""

    def __init__(
        self, channels: int, momentum: float = 0.99, epsilon: float = 1e-3, name: str = "norm"
    ):
        """Creates the layer.

        Args:
          channels: of its input [B, H, W, channels].
          momentum: share of the past in the moving moments.
          epsilon: added to variances.
          name: of the layer.
        """
        super().__init__(momentum=momentum, epsilon=epsilon, name=name, dtype="float32")
        with tf.name_scope(name):
            self.build((None, None, None, channels))


def _is_layer(module: tf.Module) -> bool:
    return isinstance(module, tf.keras.layers.Layer)


def _plain(value):
    if _is_layer(value):
        return tf.keras.saving.serialize_keras_object(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _revived(value, custom_objects: dict | None):
    if isinstance(value, dict) and "class_name" in value:
        return tf.keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
    return value
