"""TensorFlow functions as TensorFlow Lite models, of its own operations alone.

interpreter = tf.lite.Interpreter("restore.tflite")
restored = interpreter.get_signature_runner("restore")(image=image)["restored"]
"""

from __future__ import annotations

import re
import tempfile

import tensorflow as tf

from lossylab.core.errors import ExportError
from lossylab.inference.conversion.functions import Function

SUFFIX = ".tflite"
_MISSING = re.compile(r"^(?:TF Select|Custom) ops: (.*)$", re.MULTILINE)


def versions() -> dict[str, str]:
    """Of what converts."""
    return {"tensorflow": tf.__version__}


def convert(function: Function, name: str, card: dict) -> bytes:
    """A model with one signature, `name`, whose inputs and outputs have the function's names.

    Raises:
      ExportError: if the function has an operation that TensorFlow Lite has not.
    """
    del card  # there is no place for it
    module = tf.Module(name="converted")
    signature = function.get_concrete_function()
    module.used = list(signature.variables)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={name: signature})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
        try:
            return converter.convert()
        except Exception as error:  # of a class that TensorFlow keeps to itself
            lacking = sorted(set(", ".join(_MISSING.findall(str(error))).split(", ")) - {""})
            if not lacking:
                raise
            said = f"cannot be converted: TensorFlow Lite has no {', '.join(lacking)} as used here"
            raise ExportError(said) from error
