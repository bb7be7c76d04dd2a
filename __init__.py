"""lossylab: losing image quality and getting it back, five papers in TensorFlow 2.

What is named here is imported when it is used first: see docs/api.md.
"""

import os as _os
import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _sys.platform == "win32":
    raise ImportError(
        "lossylab runs on Linux and macOS, x86-64: on Windows use WSL 2 or the Dockerfile"
    )

from lossylab.core.errors import LossylabError
from lossylab.core.lazy import exports as _exports

if _TYPE_CHECKING:
    from lossylab import data, losses, models, train
    from lossylab.eval.metrics import api as metrics
    from lossylab.inference.export.base import load

# TensorFlow prints a page of notes at import, even of missing GPUs; failures are raised anyway.
_os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.2.0"

__all__ = ("LossylabError", "data", "load", "losses", "metrics", "models", "train")

__getattr__, __dir__ = _exports(
    __name__,
    {
        "data": (),
        "inference.export.base": ("load",),
        "losses": (),
        "models": (),
        "train": (),
    },
    aliases={"metrics": "eval.metrics.api"},
)
