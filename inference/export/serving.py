"""A trained codec frozen for use: kernels computed, range-coding tables built.

The signatures of the SavedModel made of it:

  compress(image uint8 [H, W, 3])          -> string, bits
  decompress(string, height, width)          -> image uint8 [height, width, 3]
  reconstruct(image uint8 [H, W, 3])       -> image uint8 [H, W, 3], bits
  describe()                                 -> info, JSON text

`bits` is the information of the quantized latent under the learned density; the length of
`string` in bits is what coding it really took.
"""

from __future__ import annotations

import json

import tensorflow as tf

from lossylab.inference.export.entropy import FactorizedCoder, HyperpriorCoder
from lossylab.inference.export.hashing import weights_hash
from lossylab.models.bls2017 import BLS2017, STRIDE
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

# Raised when the same weights would code or decode otherwise than before.
REVISION = 1
SIGNATURES = ("compress", "decompress", "describe", "reconstruct")

_IMAGE = tf.TensorSpec((None, None, 3), tf.uint8, name="image")
_SIDE = tf.TensorSpec((), tf.int32)


class _Fixed(tf.Module):
    """A parameter that is stored as it is used."""

    def __init__(self, value: tf.Tensor, name: str):
        super().__init__(name=name)
        self.value = tf.Variable(value, trainable=False, name=name)

    def __call__(self) -> tf.Tensor:
        return self.value.read_value()


class ServedCodec(tf.Module):
    """Compression and decompression of single images of any size."""

    def __init__(self, codec: BLS2017 | BMSHJ2018, options: dict):
        """Copies a trained codec; building the tables takes seconds.

        Args:
          codec: the trained model, left as it is.
          options: how it was trained, JSON values; stored with the model.
        """
        super().__init__(name="served")
        self._codec = _frozen(codec)
        if isinstance(codec, BMSHJ2018):
            self._coder = HyperpriorCoder(self._codec)
            self._codec.hyper_synthesis = None  # the coder has an exact one; do not store both
        else:
            self._coder = FactorizedCoder(self._codec.prior)
        info = {
            "model": codec.model_id,
            "weights": weights_hash(self),
            "max_pixels": codec.max_pixels,
            "num_filters": codec.num_filters,
            "options": options,
        }
        self._info = json.dumps(info, sort_keys=True)

    @tf.function(input_signature=[_IMAGE])
    def compress(self, image):
        """Image to bit string, and the string's estimated length in bits."""
        string, bits = self._coder.encode(self._latent(image))
        return {"string": string, "bits": bits}

    @tf.function(input_signature=[tf.TensorSpec((), tf.string, name="string"), _SIDE, _SIDE])
    def decompress(self, string, height, width):
        """Bit string and true size to image."""
        sides = [(side + STRIDE - 1) // STRIDE for side in (height, width)]
        latent = self._coder.decode(string, *sides)
        return {"image": self._image(latent, height, width)}

    @tf.function(input_signature=[_IMAGE])
    def reconstruct(self, image):
        """What decompressing the compressed image gives, without the range coder."""
        latent, bits = self._coder.quantize(self._latent(image))
        height, width = tf.unstack(tf.shape(image)[:2])
        return {"image": self._image(latent, height, width), "bits": bits}

    @tf.function(input_signature=[])
    def describe(self):
        """Model, hash of its weights and training options as JSON."""
        return {"info": tf.constant(self._info)}

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return {name: getattr(self, name).get_concrete_function() for name in SIGNATURES}

    def _latent(self, image):
        return self._codec.analyze(tf.cast(image[None], tf.float32))

    def _image(self, latent, height, width):
        image = self._codec.synthesize(latent)[0, :height, :width]
        return tf.saturate_cast(tf.round(image), tf.uint8)


def _frozen(codec: BLS2017 | BMSHJ2018) -> BLS2017 | BMSHJ2018:
    """A copy whose kernels and GDN parameters are stored as they are used."""
    twin = type(codec)(codec.num_filters)
    for mine, theirs in zip(twin.prior.trainable_variables, codec.prior.trainable_variables):
        mine.assign(theirs)
    for part, chain in vars(codec).items():
        if isinstance(chain, Chain):
            for mine, theirs in zip(getattr(twin, part).layers, chain.layers):
                _freeze(mine, theirs)
    return twin


def _freeze(mine, theirs) -> None:
    if isinstance(theirs, GDN):
        mine.beta = _Fixed(theirs.beta(), "beta")
        mine.gamma = _Fixed(theirs.gamma(), "gamma")
    elif isinstance(theirs, SignalConv):
        mine.kernel = _Fixed(theirs.kernel(), "kernel")
        if theirs.bias is not None:
            mine.bias.assign(theirs.bias)
