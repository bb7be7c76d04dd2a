"""StyleGAN2's generator (Karras et al., CVPR 2020), architecture 'skip'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.stylegan_base import SLOPE, StyleGAN, filter_separably
from lossylab.models.layers.stylegan_sizes import Sizes, Weight

_DEMODULATION_FLOOR = 1e-8  # added to the sum of squares of a filter
_GAIN = 2.0**0.5  # of the leaky ReLU; moved into what comes before it
# [1, 3, 3, 1], with sum 2 in each direction: every second pixel of what is filtered is zero.
_LOW_PASS = (0.25, 0.75, 0.75, 0.25)


@tf.keras.saving.register_keras_serializable("lossylab")
class StyleGAN2(StyleGAN):
    """Each layer's filters are scaled by a style and then to unit norm; images are summed up.

    Activations are scaled instead of the filters, which is the same but for rounding: one
    convolution serves the whole batch, and gradients to w need none of the kernels'.
    """

    model_id = "stylegan2"
    version = 2

    @staticmethod
    def synthesis_weights(sizes: Sizes) -> dict[str, Weight]:
        """The synthesis network's trainable variables by official name."""
        weights = {"G_synthesis/4x4/Const/const": Weight((1, 4, 4, sizes.channels[0]))}
        inputs = sizes.channels[0]
        for side, outputs in zip(sizes.sides, sizes.channels):
            for layer, size, ins, outs in (
                ("Conv0_up", 3, inputs, outputs),
                ("Conv1" if side > 4 else "Conv", 3, outputs, outputs),
                ("ToRGB", 1, outputs, 3),
            ):
                if side == 4 and layer == "Conv0_up":
                    continue
                name = f"G_synthesis/{side}x{side}/{layer}"
                weights[f"{name}/weight"] = Weight((size, size, ins, outs))
                weights[f"{name}/mod_weight"] = Weight((sizes.width, ins))
                weights[f"{name}/mod_bias"] = Weight((ins,), 0.0)
                if layer != "ToRGB":
                    weights[f"{name}/noise_strength"] = Weight((), 0.0)
                weights[f"{name}/bias"] = Weight((outs,), 0.0)
            inputs = outputs
        return weights

    @staticmethod
    def noise_sides(sizes: Sizes) -> list[int]:
        """Two noise maps a side, but one of 4 pixels."""
        return [4, *(side for side in sizes.sides[1:] for _ in range(2))]

    def _steps(self, w: tf.Tensor, noise: Sequence[tf.Tensor]) -> Iterator[tuple[str, tf.Tensor]]:
        x = tf.repeat(self.named_weights["G_synthesis/4x4/Const/const"], tf.shape(w)[0], axis=0)
        styles, maps, rgb = tf.unstack(w, axis=1), iter(noise), None
        for i, side in enumerate(self.sizes.sides):
            for layer in ("Conv0_up", "Conv1") if i else ("Conv",):
                # The image's layer shares its style with the next side's first one.
                style = styles[2 * i - (layer == "Conv0_up")]
                name = f"{side}x{side}/{layer}"
                x = self._convolve(name, x, style, next(maps))
                yield name, x
            more = self._to_rgb(f"{side}x{side}/ToRGB", x, styles[2 * i + 1])
            yield f"{side}x{side}/ToRGB", more
            rgb = more if rgb is None else _twice(rgb) + more
        yield "images_out", rgb

    def _style(self, name: str, w: tf.Tensor) -> tf.Tensor:
        """Factors of a layer's input channels [B, C], with that of its kernel."""
        weight = self.named_weights[f"G_synthesis/{name}/mod_weight"]
        style = tf.matmul(w, weight) * self.width**-0.5
        style += self.named_weights[f"G_synthesis/{name}/mod_bias"] + 1.0
        return style * self._kernel(name).shape[:3].num_elements() ** -0.5

    def _kernel(self, name: str) -> tf.Variable:
        return self.named_weights[f"G_synthesis/{name}/weight"]

    def _convolve(self, name: str, x: tf.Tensor, w: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        kernel, style = self._kernel(name), self._style(name, w)
        energy = tf.matmul(style**2, tf.reduce_sum(tf.square(kernel), (0, 1)))
        norm = _GAIN * tf.math.rsqrt(energy + _DEMODULATION_FLOOR)
        x = x * style[:, None, None]
        if name.endswith("_up"):
            x = _convolve_twice(x, kernel)
        else:
            x = precision.conv2d(x, kernel, 1, "SAME")
        strength = _GAIN * self.named_weights[f"G_synthesis/{name}/noise_strength"]
        x = x * norm[:, None, None] + noise * strength
        x = tf.nn.bias_add(x, _GAIN * self.named_weights[f"G_synthesis/{name}/bias"])
        return self._clamped(tf.nn.leaky_relu(x, SLOPE))

    def _clamped(self, x: tf.Tensor) -> tf.Tensor:
        most = self.sizes.clamp
        return x if most is None else tf.clip_by_value(x, -most, most)

    def _to_rgb(self, name: str, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        x = x * self._style(name, w)[:, None, None]
        x = precision.conv2d(x, self._kernel(name), 1, "SAME")
        return self._clamped(tf.nn.bias_add(x, self.named_weights[f"G_synthesis/{name}/bias"]))


def _convolve_twice(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Zeros between the pixels, convolution, low-pass filter: twice the size."""
    batch, height, width, _ = tf.unstack(tf.shape(x))
    shape = (batch, 2 * height + 1, 2 * width + 1, kernel.shape[3])
    turned = tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))
    y = precision.conv2d_transpose(x, turned, shape, 2, "VALID")
    return filter_separably(y, _LOW_PASS)


def _twice(rgb: tf.Tensor) -> tf.Tensor:
    """The image at twice the size, through the same low-pass filter."""
    line = tf.constant(_LOW_PASS, rgb.dtype)
    kernel = (line[:, None] * line)[..., None, None] * tf.eye(3)
    batch, height, width, _ = tf.unstack(tf.shape(rgb))
    return tf.nn.conv2d_transpose(rgb, kernel, (batch, 2 * height, 2 * width, 3), 2, "SAME")
