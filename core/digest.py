"""Names for contents: hashes that tell one picture or file from another."""

from __future__ import annotations

import hashlib

import numpy as np


def digest(picture: np.ndarray) -> str:
    """SHA-256 of a picture's size and pixels, in hexadecimal."""
    sha = hashlib.sha256(repr(picture.shape).encode())
    sha.update(np.ascontiguousarray(picture).tobytes())
    return sha.hexdigest()
