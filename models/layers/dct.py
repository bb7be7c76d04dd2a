"""JPEG in tensors: colors, block DCT, quantization with a gradient, and back.

Baseline JPEG without chroma sub-sampling, as a decoder such as libjpeg does it: the decoded
image is that of the file but for the rounding inside the decoder's inverse DCT. Coefficients are
[B, 3, H / 8, W / 8, 64]: planes Y, Cb, Cr, then blocks, then frequencies row by row (vertical
frequency first), which is how quantization tables are written too.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.models.layers.blocks import pad_to_multiple
from lossylab.models.names import LARGEST_AC, SMALLEST_DC

BLOCK = 8
LARGEST_STEP = 255  # of a quantization table that baseline decoders read
TABLE_OF_PLANE = (0, 1, 1)  # luminance, chrominance twice
_MIDDLE = 128.0


def dct_matrix(size: int) -> np.ndarray:
    """The orthonormal DCT-II as float64 [size, size], a basis vector a row."""
    angle = np.outer(np.arange(size), np.arange(size) + 0.5) * np.pi / size
    matrix = np.sqrt(2 / size) * np.cos(angle)
    matrix[0] /= np.sqrt(2)
    return matrix


# Of a whole block at once: rows are frequencies, columns are pixels.
_DCT = np.kron(dct_matrix(BLOCK), dct_matrix(BLOCK))
# JFIF: BT.601's luma and the scaled differences of blue and red from it, full range.
_LUMA = np.array((0.299, 0.587, 0.114))
_TO_PLANES = np.stack([_LUMA, ((0, 0, 1) - _LUMA) / 1.772, ((1, 0, 0) - _LUMA) / 1.402])
_TO_RGB = np.linalg.inv(_TO_PLANES)


@tf.custom_gradient
def round_cubic(x: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Rounds to the nearest integer, halves away from zero as libjpeg.

    Its gradient is that of the third-order approximation, r + (x - r)^3 with r the rounded value
    (Eq. 3, whose sign is misprinted): 3 (x - r)^2.
    """
    rounded = tf.sign(x) * tf.floor(tf.abs(x) + 0.5)
    return rounded, lambda upstream: upstream * 3.0 * tf.square(x - rounded)


@tf.custom_gradient
def round_through(x: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Rounds to the nearest integer; the gradient passes unchanged."""
    return tf.round(x), lambda upstream: upstream


def coefficients(image: tf.Tensor) -> tf.Tensor:
    """DCT coefficients of an image, not quantized.

    Args:
      image: float32 [B, H, W, 3], RGB in pixel values 0..255, any size: the last row and column
        are repeated up to a multiple of 8.

    Returns:
      float32 [B, 3, ceil(H / 8), ceil(W / 8), 64], each within -1024..1024.
    """
    image = pad_to_multiple(image, BLOCK)
    planes = tf.tensordot(image, tf.constant(_TO_PLANES, tf.float32), ((3,), (1,)))
    # Pure blue and red are half a level above what a plane holds.
    planes = tf.minimum(round_through(planes - (_MIDDLE, 0.0, 0.0)), _MIDDLE - 1.0)
    batch, height, width = tf.unstack(tf.shape(image)[:3])
    planes = tf.reshape(tf.transpose(planes, (0, 3, 1, 2)), (-1, height, width, 1))
    blocks = tf.nn.space_to_depth(planes, BLOCK)
    found = tf.tensordot(blocks, tf.constant(_DCT, tf.float32), ((3,), (1,)))
    return tf.reshape(found, (batch, 3, height // BLOCK, width // BLOCK, BLOCK**2))


def image(coefficients: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The image that a decoder shows: planes and colors are rounded and clipped.

    Args:
      coefficients: dequantized, float32 [B, 3, ceil(height / 8), ceil(width / 8), 64].
      height: of the image in pixels.
      width: likewise.

    Returns:
      float32 [B, height, width, 3], RGB, whole pixel values 0..255.
    """
    planes = tf.clip_by_value(tf.round(_planes(coefficients, height, width)), 0.0, 255.0)
    return tf.clip_by_value(tf.round(_rgb(planes)), 0.0, 255.0)


def reconstruction(coefficients: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The same without rounding and clipping, for losses.

    Clipping would bias the gradient of `round_cubic`, whose errors only cancel as long as both
    signs of the error count: steps of DC grow to twice what is best.

    Args:
      coefficients: as for `image`.
      height: likewise.
      width: likewise.

    Returns:
      float32 [B, height, width, 3], RGB, pixel values that may lie outside 0..255.
    """
    return _rgb(_planes(coefficients, height, width))


def quantize(coefficients: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Divides by the tables' steps, rounds (`round_cubic`) and keeps to what files can hold.

    Args:
      coefficients: float32 [B, 3, h, w, 64].
      tables: steps of luminance and chrominance, float32 [2, 8, 8], 1..255.

    Returns:
      float32, the same shape, whole numbers.
    """
    lowest = np.full(BLOCK**2, -LARGEST_AC, np.float32)
    lowest[0] = SMALLEST_DC
    steps = of_planes(tables)
    return tf.clip_by_value(round_cubic(coefficients / steps), lowest, float(LARGEST_AC))


def dequantize(quantized: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Coefficients again; arguments and result as for `quantize`."""
    return quantized * of_planes(tables)


def of_planes(tables: tf.Tensor) -> tf.Tensor:
    """Steps of Y, Cb, Cr, [3, 1, 1, 64], of tables [2, 8, 8]."""
    steps = tf.stack([tables[table] for table in TABLE_OF_PLANE])  # tf.gather's gradient is sparse
    steps = tf.reshape(steps, (3, BLOCK**2))
    return steps[:, None, None]


def _planes(coefficients: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Y, Cb, Cr in pixel values, [B, height, width, 3]."""
    batch, _, rows, columns = tf.unstack(tf.shape(coefficients)[:4])
    blocks = tf.tensordot(coefficients, tf.constant(_DCT, tf.float32), 1)
    planes = tf.nn.depth_to_space(tf.reshape(blocks, (-1, rows, columns, BLOCK**2)), BLOCK)
    planes = tf.reshape(planes, (batch, 3, rows * BLOCK, columns * BLOCK))[..., :height, :width]
    return tf.transpose(planes, (0, 2, 3, 1)) + _MIDDLE


def _rgb(planes: tf.Tensor) -> tf.Tensor:
    colors = planes - (0.0, _MIDDLE, _MIDDLE)
    return tf.tensordot(colors, tf.constant(_TO_RGB, tf.float32), ((3,), (1,)))
