"""TensorFlow as untyped: the stubs that pyright brings are of another release."""

from typing import Any

def __getattr__(name: str) -> Any: ...
