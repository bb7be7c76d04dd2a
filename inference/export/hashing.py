"""The hash of a network's weights, which names an export."""

from __future__ import annotations

import hashlib

import tensorflow as tf


def weights_hash(module: tf.Module) -> str:
    """SHA-256 over the names, shapes and values of a module's variables, in hexadecimal."""
    digest = hashlib.sha256()
    for variable in sorted(module.variables, key=lambda v: (v.name, v.shape.as_list())):
        value = variable.numpy()
        digest.update(f"{variable.name} {value.dtype} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
