"""Drawing degraded images from a conditional PixelCNN++, pixel by pixel, exactly.

Two ways give the same image for the same uniform numbers: `sample_naive` runs the whole network
for each pixel; `sample_wavefront` draws a diagonal of pixels at once and computes every number of
the network once, as Ramachandran et al. 2017 ("Fast Generation for Convolutional Autoregressive
Models") do for a pixel at a time. Both compute in float64: their numbers differ by some 1e-13, and
a pixel value could differ only where a draw lies as near to the edge between two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from scipy import special

from lossylab.inference.export.wavefront import Wavefront
from lossylab.models.pixelcnn import LOG_SCALE_FLOOR, ConditionalPixelCNN

_LOWEST = 1e-5  # of the uniform numbers, and below 1

Uniforms = tuple[np.ndarray, np.ndarray]
Progress = Callable[[Iterable], Iterable]


def draw_uniforms(seed: int, batch: int, height: int, width: int, mixtures: int) -> Uniforms:
    """The numbers that decide an image: float64 [B, H, W, mixtures] and [B, H, W, 3]."""
    generator = np.random.default_rng(seed)
    shapes = ((batch, height, width, mixtures), (batch, height, width, 3))
    kinds, values = (generator.uniform(size=shape) for shape in shapes)
    return np.clip(kinds, _LOWEST, 1 - _LOWEST), np.clip(values, _LOWEST, 1 - _LOWEST)


def draw(
    parameters: np.ndarray,
    uniforms: Uniforms,
    family: str = "logistic",
    quantize: bool = True,
    temperature: float = 1.0,
) -> np.ndarray:
    """Draws pixels: a component by Gumbel's trick, then red, green and blue in turn.

    Args:
      parameters: float [..., 10 m], see `losses.pixelcnn`.
      uniforms: for the components [..., m] and the colors [..., 3], within 1e-5 and 1 - 1e-5.
      family: of the components.
      quantize: round to pixel values, each color before the next; the probabilities are then those
        of the likelihood. PixelCNN++'s code does not.
      temperature: the components' logits are divided by it and their scales multiplied; 1 draws
        from the model.

    Returns:
      float64 [..., 3] in -1..1, the pixel values' x / 127.5 - 1.
    """
    for_component, for_colors = uniforms
    mixtures = for_component.shape[-1]
    noisy = parameters[..., :mixtures] / temperature - np.log(-np.log(for_component))
    picked = np.argmax(noisy, -1)[..., None, None]
    rest = parameters[..., mixtures:].reshape(*parameters.shape[:-1], 3, 3, mixtures)
    mean, log_scale, coefficient = np.moveaxis(
        np.take_along_axis(rest, picked[..., None], -1)[..., 0], -1, 0
    )  # [..., 3] each
    inverse = special.logit if family == "logistic" else special.ndtri
    spread = temperature * np.exp(np.maximum(log_scale, LOG_SCALE_FLOOR)) * inverse(for_colors)
    coefficient = np.tanh(coefficient)
    colors = []
    for i in range(3):
        x = mean[..., i] + spread[..., i]
        if i == 1:
            x = x + coefficient[..., 0] * colors[0]
        elif i == 2:
            x = x + coefficient[..., 1] * colors[0] + coefficient[..., 2] * colors[1]
        x = np.clip(x, -1, 1)
        colors.append(np.rint((x + 1) * 127.5) / 127.5 - 1 if quantize else x)
    return np.stack(colors, -1)


def steps(model: ConditionalPixelCNN, height: int, width: int) -> int:
    """Steps in which the wavefront draws an image of that size: 3826 for 256x256 by default."""
    return model.slope * (height - 1) + width


def sample_naive(
    model: ConditionalPixelCNN,
    condition: np.ndarray | None,
    uniforms: Uniforms,
    progress: Progress = iter,
    temperature: float = 1.0,
) -> np.ndarray:
    """Draws degraded images by one pass of the whole network for each pixel.

    Args:
      model: the network.
      condition: the clean images, [B, H, W, 3] in pixel values; None for a network without.
      uniforms: see `draw_uniforms`, which also give the size.
      progress: what is iterated over passes through it, such as `tqdm.tqdm`.
      temperature: see `draw`.

    Returns:
      uint8 [B, H, W, 3].

    Raises:
      ValueError: if sizes do not fit, or a condition is missing or too many.
    """
    condition = _check(model, condition, uniforms)
    batch, height, width, _ = uniforms[1].shape
    image = np.zeros((batch, height, width, 3))
    run, family = tf.function(model, autograph=False), model.options["family"]
    for y, x in progress([(y, x) for y in range(height) for x in range(width)]):
        here = (slice(None), y, x)
        parameters = run(tf.constant(image), condition).numpy()[here]
        drawn = draw(parameters, _at(uniforms, here), family, temperature=temperature)
        image[here] = np.rint((drawn + 1) * 127.5)
    return image.astype(np.uint8)


def _at(uniforms: Uniforms, here: tuple) -> Uniforms:
    return uniforms[0][here], uniforms[1][here]


def sample_wavefront(
    model: ConditionalPixelCNN,
    condition: np.ndarray | None,
    uniforms: Uniforms,
    progress: Progress = iter,
    temperature: float = 1.0,
) -> np.ndarray:
    """Draws the same images in `steps` steps; arguments, result and errors as `sample_naive`."""
    condition = _check(model, condition, uniforms)
    batch, height, width, _ = uniforms[1].shape
    family = model.options["family"]
    features = None
    if condition is not None:
        features = model.features(condition, tf.float64).numpy()
    front = Wavefront(model, features, (batch, height, width))
    image = np.zeros((batch, height, width, 3), np.uint8)
    for _ in range(-front.ahead, 0):
        front.advance()
    for _ in progress(range(steps(model, height, width))):
        rows, columns, parameters = front.advance()
        if not len(rows):
            continue
        here = (slice(None), rows, columns)
        drawn = draw(parameters, _at(uniforms, here), family, temperature=temperature)
        front.put(rows, columns, drawn)
        image[here] = np.rint((drawn + 1) * 127.5).astype(np.uint8)
    return image


def _check(
    model: ConditionalPixelCNN, condition: np.ndarray | None, uniforms: Uniforms
) -> tf.Tensor | None:
    for_component, for_colors = uniforms
    mixtures = model.options["mixtures"]
    if for_component.shape != (*for_colors.shape[:3], mixtures) or for_colors.shape[3:] != (3,):
        raise ValueError(
            f"expected uniform numbers [B, H, W, {mixtures}] and [B, H, W, 3], got "
            f"{list(for_component.shape)} and {list(for_colors.shape)}"
        )
    if condition is None:
        if model.encoder is not None:
            raise ValueError("a condition is needed: the clean image")
        return None
    if tuple(condition.shape) != for_colors.shape:
        raise ValueError(
            f"expected a condition of shape {list(for_colors.shape)} as the uniform numbers, got "
            f"{list(condition.shape)}"
        )
    return tf.cast(condition, tf.float64)
