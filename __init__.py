"""lossylab: losing image quality and getting it back, five papers in TensorFlow 2."""

import os as _os

# TensorFlow prints a page of notes at import, even of missing GPUs; failures are raised anyway.
_os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"
