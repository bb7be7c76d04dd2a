"""Peak signal-to-noise ratio, of RGB and as ProxIQA averages it over Y, Cb, Cr (Eq. 12)."""

import math

import numpy as np
import tensorflow as tf

from lossylab.data.color import ycbcr

_PEAK = 255.0
PLANE_WEIGHTS = np.array((4.0, 1.0, 1.0)) / 6  # of Y, Cb and Cr in Eq. 12
_SAMPLES = 2**22


def psnr_ycbcr(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    """Eq. 12: (4 PSNR_Y + PSNR_Cb + PSNR_Cr) / 6 in dB.

    The planes are 8-bit BT.601 in limited range, as ffmpeg makes them, and the peak is 255,
    as ffmpeg takes it, which reads 1.3 dB higher than full-range luma. Of a gray pair, whose Cb and
    Cr are equal and say nothing, it is PSNR_Y.

    Args:
      reference: [B, H, W, 3], RGB 0..255.
      distorted: likewise.

    Returns:
      float64 [B]; infinity where a plane is equal.
    """
    check_same_shape(reference, distorted)
    planes = tf.round(ycbcr(reference)) - tf.round(ycbcr(distorted))
    # Sums of millions of squares need float64.
    error = tf.reduce_mean(tf.square(tf.cast(planes, tf.float64)), (1, 2))
    per_plane = _decibel(error)
    gray = _is_gray(reference) & _is_gray(distorted)
    return tf.where(gray, per_plane[:, 0], tf.tensordot(per_plane, tf.constant(PLANE_WEIGHTS), 1))


def _is_gray(image: tf.Tensor) -> tf.Tensor:
    image = tf.convert_to_tensor(image)
    return tf.reduce_all(tf.equal(image[..., 1:], image[..., :1]), (1, 2, 3))


def psnr(reference: np.ndarray, distorted: np.ndarray) -> float:
    """PSNR in dB of one image or plane, from the error over all its samples.

    Args:
      reference: [H, W, C], pixel values 0..255.
      distorted: likewise.

    Returns:
      dB; infinity for equal images.
    """
    check_same_shape(reference, distorted)
    # Some rows at a time, for memory; of whole numbers the sum is exact in any order.
    rows = max(_SAMPLES // max(math.prod(reference.shape[1:]), 1), 1)
    sums = [
        np.sum(np.square(reference[i : i + rows].astype(np.float64) - distorted[i : i + rows]))
        for i in range(0, len(reference), rows)
    ]
    error = math.fsum(sums) / reference.size
    return 10 * math.log10(_PEAK**2 / error) if error else math.inf


def check_same_shape(reference: tf.Tensor, distorted: tf.Tensor) -> None:
    """Refuses pairs that would be broadcast against each other; raises ValueError."""
    if reference.shape != distorted.shape:
        raise ValueError(
            f"the pair must have one shape, got {list(reference.shape)} and {list(distorted.shape)}"
        )


def _decibel(error: tf.Tensor) -> tf.Tensor:
    return 10.0 / math.log(10.0) * tf.math.log(_PEAK**2 / error)
