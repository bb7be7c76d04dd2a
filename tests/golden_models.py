"""The golden registry: every model, how to build it and what to feed it.

A model that is registered here passes, for free, the tests of tests/test_golden_models.py:
checkpoint, SavedModel reloaded in a fresh process, tf.function, odd sizes, gradients.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.proxiqa import ProxIQA

# Public modules of lossylab.models that are parts of models or wrap them, tested by themselves.
PARTS = {
    *("Chain", "ExactHyperSynthesis", "FactorizedCoder", "GDN", "HyperpriorCoder"),
    *("PlainKernel", "RDFTKernel", "ServedCodec", "SignalConv"),
}


@dataclasses.dataclass(frozen=True)
class Golden:
    """One model.

    Attributes:
      build: makes a new instance with fresh weights.
      call: from (model, float32 pictures [B, H, W, 3] in levels) to a tensor.
      sizes: heights and widths to feed, odd ones where the model takes any.
      parameters: trainable weights of the paper's default instance, or None to skip.
      default: builds that default instance.
    """

    build: Callable[[], tf.Module]
    call: Callable[[tf.Module, tf.Tensor], tf.Tensor]
    sizes: tuple[tuple[int, int], ...]
    parameters: int
    default: Callable[[], tf.Module]


def _code(codec, picture):
    height, width = tf.unstack(tf.shape(picture)[1:3])
    return codec.synthesise(tf.round(codec.analyse(picture)))[:, :height, :width]


# BLS with RDFT coefficients: 9x9 kernels have 90, 5x5 ones 30 per pair of channels.
_BLS_192 = (
    2 * 90 * 3 * 192  # first and last convolution
    + 4 * 30 * 192**2  # the other four
    + 4 * 192 + 3  # biases
    + 4 * (192 + 192**2)  # GDN and IGDN
    + 192 * (3 + 9 + 9 + 3 + 3 * 3 + 1 + 3 * 3)  # density
)  # fmt: skip

# BMSHJ: as many filters everywhere; the hyper-synthesis has plain kernels.
_BMSHJ_192 = (
    2 * 30 * 3 * 192  # first and last convolution
    + 6 * 30 * 192**2  # the other six of the transforms
    + (12 + 2 * 30) * 192**2  # hyper-analysis
    + (2 * 25 + 9) * 192**2  # hyper-synthesis
    + (4 + 3 + 2 + 3) * 192 + 3  # biases
    + 6 * (192 + 192**2)  # GDN and IGDN
    + 192 * (3 + 9 + 9 + 3 + 3 * 3 + 1 + 3 * 3)  # density
)  # fmt: skip

GOLDENS = {
    BLS2017: Golden(
        build=lambda: BLS2017(8),
        call=_code,
        sizes=((1, 1), (7, 13), (63, 65), (32, 48)),
        parameters=_BLS_192,
        default=BLS2017,
    ),
    BMSHJ2018: Golden(
        build=lambda: BMSHJ2018(8),
        call=_code,
        sizes=((1, 1), (7, 13), (63, 65), (32, 48)),
        parameters=_BMSHJ_192,
        default=BMSHJ2018,
    ),
    ProxIQA: Golden(
        build=lambda: ProxIQA(32),
        call=lambda model, picture: model(picture, 255.0 - picture),
        sizes=((32, 32),),
        parameters=82_897,
        default=ProxIQA,
    ),
}
