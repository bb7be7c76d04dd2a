"""The golden registry: every model, how to build it and what to feed it.

A model that is registered here passes, for free, the tests of tests/test_golden_models.py:
checkpoint, SavedModel reloaded in a fresh process, tf.function, odd sizes, gradients.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lossylab.models import stylegan
from lossylab.models.arcnn import ARCNN
from lossylab.models.backbones.block_features import VGG19Backbone
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.dncnn import DnCNN
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers.attention import ConvAttention
from lossylab.models.memnet import MemNet
from lossylab.models.mwcnn import MWCNN
from lossylab.models.patchgan import PatchGAN
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.models.proxiqa import ProxIQA
from lossylab.models.rankiqa import RankIQA
from lossylab.models.stylegan1 import StyleGAN1
from lossylab.models.stylegan2 import StyleGAN2
from lossylab.models.stylegan2_discriminator import StyleGAN2Discriminator
from lossylab.models.tnrd import TNRD
from lossylab.models.unet import ResidualUNet
from lossylab.models.wcdgan import WCDGAN, Discriminator

# Public modules of lossylab.models that are parts of models or wrap them, tested by themselves.
PARTS = {
    "Attention",
    "BNReLUConv",
    "BatchNorm",
    "Chain",
    "ConditionEncoder",
    "Conv2D",
    "ConvAttention",
    "GDN",
    "GatedBlock",
    "InceptionFeatures",
    "LPIPSFeatures",
    "LSTM",
    "LSTMAttention",
    "Layer",
    "MixedAttention",
    "MixedConv",
    "Network",
    "PlainKernel",
    "RDFTKernel",
    "ResNet152Backbone",
    "SignalConv",
    "StandardConv",
    "StyleGAN",
    "VGG",
    "VGG16Backbone",
    "VGG19Backbone",
    "WCDB",
    "WeightNormConv",
}


@dataclasses.dataclass(frozen=True)
class Golden:
    """One model.

    Attributes:
      build: makes a new instance with fresh weights.
      call: from (model, float32 images [B, H, W, 3] in pixel values) to a tensor.
      feed: from such images to the arguments of a call of the model.
      unused: parts of the names of trainable weights that a call does not use.
      sizes: heights and widths to feed, odd ones where the model takes any.
      parameters: trainable weights of the paper's default instance.
      default: builds that default instance.
    """

    build: Callable[[], tf.keras.Model]
    call: Callable[[tf.keras.Model, tf.Tensor], tf.Tensor]
    sizes: tuple[tuple[int, int], ...]
    parameters: int
    default: Callable[[], tf.keras.Model]
    feed: Callable[[tf.Tensor], tuple] = lambda image: (image,)
    unused: tuple[str, ...] = ()


def _code(codec, image):
    height, width = tf.unstack(tf.shape(image)[1:3])
    return codec.synthesis(tf.round(codec.analysis(image)))[:, :height, :width]


def _call(model, image):
    """The first of what a call gives."""
    return tf.nest.flatten(model(*GOLDENS[type(model)].feed(image)))[0]


def _diffuse(model, image):
    return tf.repeat(_call(model, image), 3, -1)


def _luma(image):
    return (image[..., :1],)


def _pair(image):
    """An image and its negative, as one argument."""
    return ((image, 255.0 - image),)


def _conditional(image):
    return image, 255.0 - image


def _encoder():
    return JPEGEncoder(ConvAttention(VGG19Backbone("random")))


def _nats_like(model, image):
    """Sums of the parameters, of an image whose condition is its negative."""
    return tf.reduce_sum(_call(model, image), -1)


def _generator(version):
    sizes = {"fmap_base": 128, "fmap_max": 16, "latent": _LATENT, "mapping": 20, "width": 28}
    return stylegan.random(version, 32, None, **sizes)


def _column(image):
    """What an image has in its first column."""
    return (image[:, :_LATENT, 0, 0] - 127.5,)


_LATENT = 24
_ODD = ((1, 1), (7, 13), (33, 31))
_TABLE = np.full((8, 8), 40)

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

# PixelCNN++: kernels with 2 C inputs, lengths and biases; the condition's encoder and 67 features.
_PIXELCNN_100 = (
    4 * 100 * (6 + 3 + 2)  # first convolutions
    + 6 * 100 * 200 * (6 + 12 + 4 + 1 + 8)  # both streams' blocks
    + 100 * 100  # last convolution
    + 2 * (3 * 100 + 6 * 700 + 100)  # lengths and biases
    + 9 * 64 * (3 + 64 + 64) + 2 * 3 * 64  # encoder
    + 12 * 67 * 200
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
        call=_call,
        feed=_pair,
        sizes=((32, 32),),
        parameters=82_897,
        default=ProxIQA,
    ),
    WCDGAN: Golden(
        build=lambda: WCDGAN(3, filters=8, blocks=2),
        call=_call,
        sizes=_ODD,
        parameters=1_690_443,
        default=WCDGAN,
    ),
    Discriminator: Golden(
        build=lambda: Discriminator(3, patch=32, filters=8, hidden=16),
        call=_call,
        sizes=((32, 32),),
        parameters=35_627_201,
        default=Discriminator,
    ),
    ARCNN: Golden(
        build=lambda: ARCNN(3),
        call=_call,
        sizes=_ODD,
        parameters=106_561,
        default=ARCNN,
    ),
    TNRD: Golden(
        build=lambda: TNRD(2, _TABLE),
        call=_diffuse,
        feed=_luma,
        sizes=_ODD,
        parameters=26_645,
        default=lambda: TNRD(5),
    ),
    DnCNN: Golden(
        build=lambda: DnCNN(3, layers=5, filters=8),
        call=_call,
        sizes=_ODD,
        parameters=556_096,
        default=DnCNN,
    ),
    MemNet: Golden(
        build=lambda: MemNet(3, filters=8, blocks=2, recursions=2),
        call=_call,
        sizes=_ODD,
        parameters=2_905_474,
        default=MemNet,
    ),
    ResidualUNet: Golden(
        build=lambda: ResidualUNet(2),
        call=_call,
        sizes=_ODD,
        parameters=41_830_147,
        default=ResidualUNet,
    ),
    PatchGAN: Golden(
        build=lambda: PatchGAN(2),
        call=lambda model, image: _call(model, image)[..., 0, 0],
        feed=_pair,
        sizes=((32, 32),),
        parameters=2_768_705,
        default=PatchGAN,
    ),
    ConditionalPixelCNN: Golden(
        build=lambda: ConditionalPixelCNN(4, 2, 2, condition_filters=4),
        call=_nats_like,
        feed=_conditional,
        sizes=_ODD,
        parameters=_PIXELCNN_100,
        default=ConditionalPixelCNN,
    ),
    JPEGEncoder: Golden(
        build=_encoder,
        call=_call,
        sizes=_ODD,
        parameters=2_325_568 + 256 * 128 + 128 + 2 * 64,  # VGG-19's, 1x1 convolution, tables
        default=_encoder,
    ),
    StyleGAN1: Golden(
        build=lambda: _generator(1),
        call=_call,
        feed=_column,
        sizes=((32, 32),),
        parameters=26_219_627,
        unused=("ToRGB_lod1/", "ToRGB_lod2/", "ToRGB_lod3/"),
        default=lambda: stylegan.random(1, 1024, 0),
    ),
    StyleGAN2: Golden(
        build=lambda: _generator(2),
        call=_call,
        feed=_column,
        sizes=((32, 32),),
        parameters=30_370_060,
        default=lambda: stylegan.random(2, 1024, 0),
    ),
    StyleGAN2Discriminator: Golden(
        build=lambda: StyleGAN2Discriminator((8, 6, 4, 4), group=1),
        call=_call,
        sizes=((32, 32),),
        parameters=29_012_513,
        default=lambda: StyleGAN2Discriminator((*[512] * 5, 256, 128, 64, 32)),
    ),
    MWCNN: Golden(
        build=lambda: MWCNN(3, filters=4),
        call=_call,
        sizes=_ODD,
        parameters=24_927_809,
        default=MWCNN,
    ),
    RankIQA: Golden(
        build=lambda: RankIQA(4, 8, 32, "random"),
        call=_call,
        sizes=((32, 32),),
        parameters=134_264_641,  # VGG-16 with one unit in the last layer instead of 1000
        default=lambda: RankIQA(weights=None),
    ),
}
