"""The restoration networks by name."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.models.arcnn import ARCNN
from lossylab.models.dncnn import DnCNN
from lossylab.models.memnet import MemNet
from lossylab.models.mwcnn import MWCNN
from lossylab.models.tnrd import TNRD
from lossylab.models.wcdgan import WCDGAN

NETWORKS = {network.model_id: network for network in (WCDGAN, ARCNN, TNRD, DnCNN, MemNet, MWCNN)}


def make(name: str, channels: int, luminance_table: np.ndarray, **options) -> tf.Module:
    """Builds a network.

    Args:
      name: one of `NETWORKS`.
      channels: 1 for luma, 3 for RGB.
      luminance_table: of the JPEG files to restore, [8, 8]; TNRD projects onto it.
      **options: of the network's constructor.

    Raises:
      ValueError: if an option does not fit, or TNRD is asked for RGB.
    """
    if name == TNRD.model_id:
        if channels != 1:
            raise ValueError("tnrd restores luma only")
        return TNRD(quantization=luminance_table, **options)
    return NETWORKS[name](channels, **options)
