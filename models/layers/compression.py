"""tensorflow-compression, or a message that says where it can be had.

It has wheels for Linux and macOS on x86-64 alone. Elsewhere all that does without it works where
TensorFlow 2.14 does: restorers, distorters, JPEG encoders, scorers, generators and metrics.
"""

from __future__ import annotations

from lossylab.core.errors import NO_TFC, WorkError

try:
    import tensorflow_compression as tfc
except ImportError as error:
    raise WorkError(NO_TFC) from error

__all__ = ("tfc",)
