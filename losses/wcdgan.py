"""WCDGAN's losses of images (Eq. 18, 19, 22), means over pixels, channels and batch.

Images are float32 [B, H, W, 1 or 3]; restored ones are not clipped. Pixel values are 0..255, for
content and total variation those of any range, in whose units the losses are. The
adversarial losses (Eq. 20, 21) are in `losses.adversarial`, the weighted sum in the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from lossylab.losses.pixels import pixel_error


def content_loss(clean: tf.Tensor, restored: tf.Tensor, norm: str = "l1") -> tf.Tensor:
    """Eq. 18, or by 'l2' the mean squared error that the other methods minimize; a scalar.

    Raises:
      ValueError: for another norm.
    """
    return tf.reduce_mean(pixel_error(clean, restored, norm))


def perceptual_loss(
    clean: tf.Tensor, restored: tf.Tensor, features: Callable[[tf.Tensor], Sequence[tf.Tensor]]
) -> tf.Tensor:
    """Eq. 19: L1 distance of VGG's features, see `models.backbones.vgg`; a scalar.

    Args:
      clean: the images; luma is shown as gray.
      restored: what was restored of their degraded versions.
      features: from RGB in pixel values to features of one layer or more, whose means are added.
    """
    clean, restored = (tf.broadcast_to(x, (*x.shape[:-1], 3)) for x in (clean, restored))
    pairs = zip(features(clean), features(restored))
    return tf.add_n([tf.reduce_mean(tf.abs(one - other)) for one, other in pairs])


def total_variation(restored: tf.Tensor) -> tf.Tensor:
    """Eq. 22: |dx + dy| by forward differences, as printed; a scalar."""
    here = restored[:, :-1, :-1]
    across, down = restored[:, :-1, 1:] - here, restored[:, 1:, :-1] - here
    return tf.reduce_mean(tf.abs(across + down))
