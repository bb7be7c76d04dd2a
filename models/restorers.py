"""The restoration networks by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.models.arcnn import ARCNN
from lossylab.models.dncnn import DnCNN
from lossylab.models.memnet import MemNet
from lossylab.models.mwcnn import MWCNN
from lossylab.models.tnrd import TNRD
from lossylab.models.wcdgan import WCDGAN

NETWORKS = {network.model_id: network for network in (WCDGAN, ARCNN, TNRD, DnCNN, MemNet, MWCNN)}


def supervised(network: Any, image: tf.Tensor) -> list[tf.Tensor]:
    """What a loss shall see of a network in training, images [B, H, W, C]: the restored one first.

    Args:
      network: of `NETWORKS`.
      image: float32 [B, H, W, C], pixel values.
    """
    if isinstance(network, MemNet):
        return network.supervised(image, training=True)
    return [network(image, training=True)]


def make(model: str, channels: int, luminance_table: np.ndarray, **options) -> tf.Module:
    """Builds a network.

    Args:
      model: one of `NETWORKS`.
      channels: 1 for luma, 3 for RGB.
      luminance_table: of the JPEG files to restore, [8, 8]; TNRD projects onto it.
      **options: of the network's constructor.

    Raises:
      ValueError: if an option does not fit, or TNRD is asked for RGB.
    """
    if model == TNRD.model_id:
        if channels != 1:
            raise ValueError("tnrd restores luma only")
        return TNRD(quantization=luminance_table, **options)
    return NETWORKS[model](channels, **options)
