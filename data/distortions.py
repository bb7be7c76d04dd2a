"""Distortions as pure functions: JPEG, JPEG 2000, white and pink noise.

"Learning to Distort Images Using Generative Adversarial Networks" (Chen, Bampis, Li, Bovik) takes
them as ground truth; anything else may use them. The same image, severity and seed give the same
result.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from lossylab.data import jpeg


@dataclasses.dataclass(frozen=True)
class Distortion:
    """A kind of distortion.

    Attributes:
      apply: from (uint8 [H, W, 3 or 1], severity, seed) to the distorted image, the same shape.
      unit: what a severity is.
      lowest: least severity.
      highest: greatest.
      severity: what the GAN of the paper is trained with here (Sec. III-A prints none), see
        results/distortion_gan/severity.csv.
      random: whether the seed counts.
    """

    apply: Callable[[np.ndarray, float, int], np.ndarray]
    unit: str
    lowest: float
    highest: float
    severity: float
    random: bool = False

    def said(self, severity: float) -> str:
        """A severity beside what it is, such as 'quality 40'."""
        return f"{self.unit.partition(',')[0].removeprefix('JPEG ')} {severity:g}"


def _jpeg(image: np.ndarray, severity: float, seed: int) -> np.ndarray:
    del seed
    if severity != int(severity):
        raise ValueError(f"JPEG quality must be a whole number, got {severity:g}")
    return jpeg.degrade(image, int(severity))


def _jpeg2000(image: np.ndarray, severity: float, seed: int) -> np.ndarray:
    del seed
    file = io.BytesIO()
    gray = image.shape[2] == 1
    options = jpeg2000_options(severity) | ({"mct": 0} if gray else {})
    Image.fromarray(image[..., 0] if gray else image).save(file, "JPEG2000", **options)
    decoded = np.array(Image.open(file).convert("L" if gray else "RGB"))
    return decoded[..., None] if gray else decoded


def jpeg2000_options(ratio: float) -> dict[str, object]:
    """Pillow's for JPEG 2000: 9/7 wavelet, color transform, one layer, no JP2 boxes.

    Args:
      ratio: of the bits of the pixels to those of the file, from which OpenJPEG controls the rate.
    """
    return {
        "irreversible": True,
        "mct": 1,
        "no_jp2": True,
        "quality_mode": "rates",
        "quality_layers": [float(ratio)],
    }


def _white(image: np.ndarray, severity: float, seed: int) -> np.ndarray:
    return _add(image, severity * np.random.default_rng(seed).standard_normal(image.shape))


def _pink(image: np.ndarray, severity: float, seed: int) -> np.ndarray:
    return _add(
        image, severity * pink_noise((image.shape[0], image.shape[1], image.shape[2]), seed)
    )


def _add(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def pink_noise(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Gaussian noise whose amplitude falls as 1 / frequency, of mean 0 and standard deviation 1.

    Args:
      shape: height, width and channels; channels are independent.
      seed: of the random numbers.

    Returns:
      float64 of that shape; zeros where a single pixel leaves no frequency but the constant.
    """
    height, width, _ = shape
    white = np.random.default_rng(seed).standard_normal(shape)
    spectrum = np.fft.rfft2(white, axes=(0, 1))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf  # no constant part
    noise = np.fft.irfft2(spectrum / frequency[..., None], s=(height, width), axes=(0, 1))
    std = noise.std((0, 1))
    return noise / np.where(std > 0, std, 1)


DISTORTIONS = {
    "jpeg": Distortion(_jpeg, "JPEG quality, 4:2:0", 1, 100, 40),
    "jpeg2000": Distortion(_jpeg2000, "compression ratio", 1, 1000, 16),
    "white": Distortion(_white, "standard deviation, pixel values", 0, 255, 60, random=True),
    "pink": Distortion(_pink, "standard deviation, pixel values", 0, 255, 10, random=True),
}


def distort(
    image: np.ndarray, name: str, severity: float | None = None, seed: int = 0
) -> np.ndarray:
    """Distorts an image.

    Args:
      image: uint8 [H, W, 3], RGB, or gray [H, W, 1].
      name: one of `DISTORTIONS`.
      severity: in the distortion's unit; its own if None.
      seed: of the noise.

    Returns:
      uint8, the same shape.

    Raises:
      ValueError: for an unknown name, another shape or type, or a severity outside.
    """
    if name not in DISTORTIONS:
        raise ValueError(f"distortion must be one of {', '.join(DISTORTIONS)}, got '{name}'")
    kind = DISTORTIONS[name]
    severity = kind.severity if severity is None else severity
    if not kind.lowest <= severity <= kind.highest:
        raise ValueError(
            f"severity of {name} ({kind.unit}) must lie in {kind.lowest:g}..{kind.highest:g}, got "
            f"{severity:g}"
        )
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"expected an image uint8 [H, W, 3] or [H, W, 1], got {image.dtype} {list(image.shape)}"
        )
    return kind.apply(image, severity, seed)
