"""TNRD (Chen and Pock 2017): trained diffusion with Gaussian radial basis functions.

  u_t = P(u_{t-1} - sum_i rot180(k_i) * phi_i(k_i * u_{t-1})),  u_0 = the decoded image

For JPEG, P projects onto the images that would have been quantized to the same coefficients; for
other damage a data term lambda (u - u_0) takes its place.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer, Network
from lossylab.models.layers.blocks import pad_to_multiple
from lossylab.models.layers.dct import dct_matrix

KERNEL_SIZE, FILTERS = 7, 48  # 7x7 filters in the span of all DCT atoms but the constant one
CENTERS = np.linspace(-310.0, 310.0, 63)  # of the radial basis functions, pixel values
PRECISION = 0.01  # of the Gaussians, per squared pixel value
_BLOCK = 8  # of JPEG
_CELL = 0.25  # of the table that stands for the functions, pixel values


def _atoms(size: int) -> np.ndarray:
    """The 2-D DCT's basis as float32 [size * size, size, size], the constant one first."""
    rows = dct_matrix(size)
    return np.einsum("iy,jx->ijyx", rows, rows).reshape(-1, size, size).astype(np.float32)


class _Stage(Layer):
    """One step of the diffusion; its filters and functions are its own."""

    def __init__(self, data_term: bool, name: str):
        super().__init__(name=name)
        # Filters start as the DCT's atoms; the functions as those of a Student-t prior, scaled so
        # that one step does not overshoot (49 filters cover each pixel).
        start = 0.2 / KERNEL_SIZE**2 * CENTERS / (1 + (CENTERS / 20) ** 2)
        weights = np.linalg.solve(_gaussians(CENTERS), start)
        noise = tf.random.normal((FILTERS, CENTERS.size), stddev=1e-4)
        with self.scope():
            self.mixture = tf.Variable(tf.eye(FILTERS), name="mixture")
            self.functions = tf.Variable(tf.cast(weights, tf.float32) + noise, name="functions")
            self.strength = tf.Variable(0.1, name="strength") if data_term else None

    def call(self, u: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        unit = tf.math.l2_normalize(self.mixture, axis=1)
        atoms = tf.reshape(_atoms(KERNEL_SIZE)[1:], (FILTERS, KERNEL_SIZE * KERNEL_SIZE))
        kernel = tf.reshape(tf.transpose(unit @ atoms), (KERNEL_SIZE, KERNEL_SIZE, 1, FILTERS))
        pad = KERNEL_SIZE // 2
        response = self._influence(precision.conv2d(_mirror(u, pad), kernel, 1, "VALID"))
        # The transpose of a correlation is a correlation with the turned kernel.
        turned = tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))
        step = precision.conv2d(_mirror(response, pad), turned, 1, "VALID")
        return u - step if self.strength is None else u - step - self.strength * (u - first)

    def _influence(self, x: tf.Tensor) -> tf.Tensor:
        """phi_i of channel i, from a table: 63 Gaussians a sample would take most of the time."""
        grid = np.arange(CENTERS[0], CENTERS[-1] + _CELL / 2, _CELL)
        table = self.functions @ tf.constant(_gaussians(grid).T, tf.float32)  # [filters, grid]
        slopes = tf.pad(table[:, 1:] - table[:, :-1], ((0, 0), (0, 1)))
        pairs = tf.reshape(tf.stack([table, slopes], -1), (-1, 2))
        position = tf.clip_by_value((x - CENTERS[0]) / _CELL, 0.0, grid.size - 1.001)
        cell = tf.floor(position)
        row = tf.cast(cell, tf.int32) + tf.range(FILTERS) * grid.size
        value, slope = tf.unstack(tf.gather(pairs, row), axis=-1)
        return value + (position - tf.stop_gradient(cell)) * slope


def _gaussians(x: np.ndarray) -> np.ndarray:
    """The radial basis functions at x [n] as float64 [n, 63]."""
    return np.exp(-0.5 * PRECISION * (x[:, None] - CENTERS) ** 2)


def _mirror(x: tf.Tensor, pad: int) -> tf.Tensor:
    """Extends x [B, H, W, C] by its mirror image, also where it is smaller than the pad."""
    for axis in (1, 2):
        size = tf.shape(x)[axis]
        index = tf.math.floormod(tf.range(-pad, size + pad), 2 * size)
        x = tf.gather(x, tf.minimum(index, 2 * size - 1 - index), axis=axis)
    return x


@tf.keras.saving.register_keras_serializable("lossylab")
class TNRD(Network):
    """The diffusion, on luma."""

    model_id = "tnrd"
    multiple = _BLOCK

    def __init__(self, stages: int = 4, quantization: np.ndarray | None = None, name: str = "tnrd"):
        """Creates the network.

        Args:
          stages: T; the authors have 4 for JPEG, 5 for noise.
          quantization: the luma table [8, 8] of the images to restore, whose blocks begin at
            their first pixel; None for a data term instead of the projection.
          name: name of the model.

        Raises:
          ValueError: if there is no stage.
        """
        super().__init__(name=name)
        if stages < 1:
            raise ValueError(f"stages must be at least 1, got {stages}")
        self.channels = 1
        # Two 7x7 filters a stage, and a block of the projection.
        self.receptive_field_radius = stages * (KERNEL_SIZE - 1 + _BLOCK)
        with self.scope():
            self.stages = [
                _Stage(data_term=quantization is None, name=f"stage{i}") for i in range(stages)
            ]
        self._table = None
        if quantization is not None:
            self._table = np.asarray(quantization, np.float32).reshape(_BLOCK * _BLOCK)

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, 1] in pixel values; not clipped."""
        del training
        center = None if self._table is None else tf.round(_block_dct(image) / self._table)
        u = image
        for stage in self.stages:
            u = stage(u, image)
            if center is not None:
                u = self._project(u, center)
        return u

    def _project(self, u, center):
        """Moves u to the nearest image with the quantized coefficients of the file.

        Blocks that the image's end cuts are left alone: theirs are not known.
        """
        low, high = (center - 0.5) * self._table, (center + 0.5) * self._table
        blocks = tf.clip_by_value(_block_dct(u), low, high)
        atoms = tf.reshape(_atoms(_BLOCK), (_BLOCK**2, _BLOCK**2))
        projected = tf.nn.depth_to_space(tf.tensordot(blocks, atoms, 1), _BLOCK) + 128.0
        height, width = tf.unstack(tf.shape(u)[1:3])
        whole = [tf.range(size) < size // _BLOCK * _BLOCK for size in (height, width)]
        mask = tf.reshape(whole[0], (1, -1, 1, 1)) & tf.reshape(whole[1], (1, 1, -1, 1))
        return tf.where(mask, projected[:, :height, :width], u)


def _block_dct(image: tf.Tensor) -> tf.Tensor:
    """JPEG's transform of luma [B, H, W, 1] in pixel values: [B, H / 8, W / 8, 64], row by row."""
    blocks = tf.nn.space_to_depth(pad_to_multiple(image, _BLOCK) - 128.0, _BLOCK)
    atoms = tf.reshape(_atoms(_BLOCK), (_BLOCK**2, _BLOCK**2))
    return tf.tensordot(blocks, tf.transpose(atoms), 1)
