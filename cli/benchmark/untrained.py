"""Codecs with random weights whose rate is a trained one's."""

from __future__ import annotations

import os
import tempfile

import tensorflow as tf

from lossylab.inference.export.codec import Codec
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018


def untrained(kind: type[BLS2017] | type[BMSHJ2018], filters: int) -> Codec:
    """A loaded export."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "export")
        Codec.save(_concentrated(kind(filters)), path, {})
        return Codec(path)


def _concentrated(codec: BLS2017 | BMSHJ2018) -> BLS2017 | BMSHJ2018:
    """The codec, with densities that fit its latents."""
    for matrix in codec.prior.base._matrices:
        matrix.assign_add(tf.ones_like(matrix))
    if isinstance(codec, BMSHJ2018):
        codec.hyper_synthesis_transform.layers[-1].bias.assign_add(tf.fill([codec.filters], 0.4))
    return codec
