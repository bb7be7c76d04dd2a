"""What is measured: metrics, compressed files, benchmarks, plots."""

from lossylab.core.lazy import exports

__getattr__, __dir__ = exports(__name__, {"metrics": ()})
