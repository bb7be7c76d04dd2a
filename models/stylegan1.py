"""StyleGAN's first generator (Karras, Laine, Aila, CVPR 2019), fully grown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.stylegan_base import SLOPE, StyleGAN, filter_separably
from lossylab.models.layers.stylegan_sizes import Sizes, Weight

_VARIANCE_FLOOR = 1e-8  # PULSE's PyTorch port has 1e-5, which changes images by 1e-3
_BLUR = (0.25, 0.5, 0.25)


@tf.keras.saving.register_keras_serializable("lossylab")
class StyleGAN1(StyleGAN):
    """Each layer's output is normalized by sample and channel, then scaled and shifted by a style.

    The layers to RGB of the smaller sizes, left from progressive growing, are kept but not used.
    """

    model_id = "stylegan1"
    version = 1

    @staticmethod
    def synthesis_weights(sizes: Sizes) -> dict[str, Weight]:
        """The synthesis network's trainable variables by official name."""
        weights, inputs = {}, sizes.channels[0]
        for i, (side, outputs) in enumerate(zip(sizes.sides, sizes.channels)):
            for layer, ins in zip(_layers(side), (inputs, outputs)):
                name = f"G_synthesis/{side}x{side}/{layer}"
                if layer == "Const":
                    weights[f"{name}/const"] = Weight((1, 4, 4, outputs), 0.0, 1.0)
                else:
                    weights[f"{name}/weight"] = Weight((3, 3, ins, outputs))
                weights[f"{name}/Noise/weight"] = Weight((outputs,), 0.0)
                weights[f"{name}/bias"] = Weight((outputs,), 0.0)
                weights[f"{name}/StyleMod/weight"] = Weight((sizes.width, 2 * outputs))
                weights[f"{name}/StyleMod/bias"] = Weight((2 * outputs,), 0.0)
            rgb = f"G_synthesis/ToRGB_lod{len(sizes.sides) - 1 - i}"
            weights[f"{rgb}/weight"] = Weight((1, 1, outputs, 3))
            weights[f"{rgb}/bias"] = Weight((3,), 0.0)
            inputs = outputs
        return weights

    @staticmethod
    def noise_sides(sizes: Sizes) -> list[int]:
        """Two noise maps a side."""
        return [side for side in sizes.sides for _ in range(2)]

    def _steps(self, w: tf.Tensor, noise: Sequence[tf.Tensor]) -> Iterator[tuple[str, tf.Tensor]]:
        x = tf.repeat(self.named_weights["G_synthesis/4x4/Const/const"], tf.shape(w)[0], axis=0)
        names = [f"{side}x{side}/{layer}" for side in self.sizes.sides for layer in _layers(side)]
        for name, style, noise_map in zip(names, tf.unstack(w, axis=1), noise):
            x = self._finish(name, self._convolve(name, x), style, noise_map)
            yield name, x
        kernel = self.named_weights["G_synthesis/ToRGB_lod0/weight"]
        x = precision.conv2d(x, kernel * kernel.shape[2] ** -0.5, 1, "SAME")
        yield "images_out", tf.nn.bias_add(x, self.named_weights["G_synthesis/ToRGB_lod0/bias"])

    def _convolve(self, name: str, x: tf.Tensor) -> tf.Tensor:
        if name.endswith("/Const"):
            return x
        kernel = self.named_weights[f"G_synthesis/{name}/weight"]
        kernel = kernel * (2.0 / (9 * kernel.shape[2])) ** 0.5
        if name.endswith("/Conv0_up"):
            first = self.sizes.fused_from
            fused = first is not None and 2 * x.shape[1] >= first
            return filter_separably(_convolve_twice(x, kernel, fused), _BLUR)
        return precision.conv2d(x, kernel, 1, "SAME")

    def _finish(self, name: str, x: tf.Tensor, w: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Noise, bias, leaky ReLU, normalization, style."""
        weights, name = self.named_weights, f"G_synthesis/{name}"
        x = tf.nn.bias_add(x + noise * weights[f"{name}/Noise/weight"], weights[f"{name}/bias"])
        x = tf.nn.leaky_relu(x, SLOPE)
        style = tf.matmul(w, weights[f"{name}/StyleMod/weight"]) * self.width**-0.5
        scale, shift = tf.split(style + weights[f"{name}/StyleMod/bias"], 2, axis=-1)
        x = x - tf.reduce_mean(x, (1, 2), keepdims=True)
        variance = tf.reduce_mean(x**2, (1, 2)) + _VARIANCE_FLOOR
        scale = (scale + 1.0) * tf.math.rsqrt(variance)
        return x * scale[:, None, None] + shift[:, None, None]


def _layers(side: int) -> tuple[str, str]:
    return ("Const", "Conv") if side == 4 else ("Conv0_up", "Conv1")


def _convolve_twice(x: tf.Tensor, kernel: tf.Tensor, fused: bool) -> tf.Tensor:
    """Each pixel four times, then a 3x3 convolution: as one strided convolution.

    The official fused layer meets the image with the kernel turned; here the other one turns.
    """
    if not fused:
        kernel = tf.reverse(kernel, (0, 1))
    padded = tf.pad(tf.transpose(kernel, (0, 1, 3, 2)), ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernel = tf.add_n([padded[i : i + 4, j : j + 4] for i in (0, 1) for j in (0, 1)])
    batch, height, width, _ = tf.unstack(tf.shape(x))
    shape = (batch, 2 * height, 2 * width, kernel.shape[2])
    return precision.conv2d_transpose(x, kernel, shape, 2, "SAME")
