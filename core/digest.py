"""Names for contents: hashes that tell one image or file from another."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np


def digest(image: np.ndarray) -> str:
    """SHA-256 of an image's size and pixels, in hexadecimal."""
    sha = hashlib.sha256(repr(image.shape).encode())
    sha.update(np.ascontiguousarray(image).tobytes())
    return sha.hexdigest()


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; raises OSError."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            sha.update(chunk)
    return sha.hexdigest()


def weights_name(weights: str | None) -> str | None:
    """What names weights wherever they lie: a hash of a file's contents, or the word itself."""
    return file_digest(weights)[:16] if weights and os.path.isfile(weights) else weights


def weights_hash(module: Any) -> str:
    """SHA-256 over the names, shapes and values of a module's variables, in hexadecimal."""
    digest = hashlib.sha256()
    for variable in sorted(module.variables, key=lambda v: (v.name, v.shape.as_list())):
        value = variable.numpy()
        digest.update(f"{variable.name} {value.dtype} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
