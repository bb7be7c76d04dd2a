"""Options of `lossylab describe` and `lossylab export`."""

from __future__ import annotations

from lossylab.core.options import argument, option, option_class
from lossylab.core.trust import TrustOptions


@option_class
class DescribeOptions(TrustOptions):
    """Prints what an export says of itself, and its hash, as JSON.

    lossylab describe runs/vmaf/export

    The hash is SHA-256 over all files of the export. An export is a program, which can read and
    write files when it is loaded: given the hash of one that you trust, --trusted_hash makes every
    command refuse any other.
    """

    export: str = argument("Export: a folder or a name that `lossylab models` lists.")


@option_class
class ConvertOptions(TrustOptions):
    """Converts an export for other runtimes: one file for each of its functions, and its card.

    lossylab export runs/wcdgan_q10/export --format=onnx --out=wcdgan_q10
    lossylab export bls-mse-0.016 --format=tflite --out=bls

    Inputs and outputs have the names that the export's signatures give them; images of any size go
    in at once. Of codecs the transforms are converted, not the range coder. ONNX needs the
    extra `onnx`; TensorFlow Lite lacks operations of some networks, which is said.
    """

    export: str = argument("Export: a folder or a name that `lossylab models` lists.")
    format: str = option("onnx", "What to convert to.", choices=("onnx", "tflite"))
    out: str = option(help="Folder for the files.")
