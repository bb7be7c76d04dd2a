"""tensorflow-compression, or a message that says where it can be had.

It has wheels for Linux and macOS on x86-64 alone. Elsewhere all that does without it works where
TensorFlow 2.14 does: restorers, distorters, JPEG encoders, scorers, generators and metrics.
"""

from __future__ import annotations

from lossylab.core.errors import WorkError

try:
    import tensorflow_compression as tfc
except ImportError as error:
    raise WorkError(
        "learned codecs need tensorflow-compression 2.14.1, which has wheels for Linux and macOS "
        "on x86-64 alone: install it there, or use the Dockerfile; restorers, distorters, JPEG "
        "encoders and scorers do without it"
    ) from error

__all__ = ("tfc",)
