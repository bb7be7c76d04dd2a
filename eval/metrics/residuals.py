"""What a distortion adds to an image: blocks, lost detail, and the spectrum of the residual.

The divergence of natural scene statistics hardly sees JPEG's blocks nor the color of noise. These
say in a distortion's own terms how like the real one a generated one is:

  blockiness             1 where differences over the borders of 8x8 blocks are as elsewhere
  high_frequency_energy  power of the luma above half the highest frequency of an axis
  spectrum               power of the residual by frequency; its slope is 0 for white noise, and -1
                         in amplitude for pink noise
  ringing                power of the residual beside edges, where the reference is smooth
  std                    how strong the residual is
"""

from __future__ import annotations

import contextlib
import dataclasses
import math

import numpy as np
import scipy.fft
from scipy import ndimage

from lossylab.eval.metrics.nss import luma

BLOCK = 8
_LOWEST, _HIGHEST = 1 / 32, 1 / 2  # cycles a pixel
_EDGES = np.geomspace(_LOWEST, _HIGHEST, 13)
BANDS = np.sqrt(_EDGES[:-1] * _EDGES[1:])  # centers of a spectrum's bands, cycles a pixel
_SPLIT = 1 / 4  # cycles a pixel: what lies above counts as high
SMALLEST = 2 * BLOCK
SPECTRUM_SMALLEST = int(2 / _LOWEST)
# Gradients of a luma blurred by a pixel, in pixel values: those of edges, and of what is smooth.
_EDGE, _SMOOTH = 20.0, 8.0
_BESIDE = (2, 8)  # pixels from an edge: its own blur ends, and what JPEG 2000's filters spread to
_FEWEST = 64  # pixels beside edges
_TINY = 1e-12  # of a power, so that it has a logarithm
_SLOPES = {"white": 0.0, "pink": -1.0}  # of the amplitude
_SLOPE_TOLERANCE, _FLAT = 0.2, 4.0  # the latter in dB; pixel values clip


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Power of a plane by spatial frequency.

    Attributes:
      frequency: centers of the bands, float64 [bands], cycles a pixel.
      power: mean power in each, float64 [bands], squared pixel values.
      flatness: geometric over arithmetic mean of the power of all single frequencies, dB: 0 if all
        were equal, -2.5 for white noise, less where frequencies or a lattice stand out.
    """

    frequency: np.ndarray
    power: np.ndarray
    flatness: float = math.nan

    @property
    def slope(self) -> float:
        """Of the amplitude over the frequency, both logarithmic: 0 for white, -1 for pink noise."""
        return float(np.polyfit(np.log(self.frequency), np.log(self.power) / 2, 1)[0])

    @property
    def unevenness(self) -> float:
        """Largest distance of a band's power from the mean of all in dB: 0 for a flat spectrum."""
        decibels = 10 * np.log10(self.power)
        return float(np.abs(decibels - decibels.mean()).max())

    @property
    def color(self) -> str:
        """Of noise: 'white' if flat (within 4 dB), 'pink' if the slope is -1 (within .2), or ''.

        Coding's errors are nearly flat too: a color says what noise is like, not that it is noise.
        """
        for name, slope in _SLOPES.items():
            if abs(self.slope - slope) <= _SLOPE_TOLERANCE:
                return name if name != "white" or self.unevenness <= _FLAT else ""
        return ""

    def gap(self, other: Spectrum) -> float:
        """Root of the mean squared distance of two spectra's bands in dB: 0 for equal ones."""
        return float(np.sqrt(np.mean(np.square(10 * np.log10(self.power / other.power)))))


def blockiness(image: np.ndarray) -> float:
    """Mean absolute difference over borders of 8x8 blocks, divided by that of all other neighbors.

    Args:
      image: RGB [H, W, 3], pixel values 0..255. Its blocks may begin at any row and column: those
        count over whose borders the differences are largest.

    Returns:
      Little above 1 without blocks, 1.6 for JPEG at quality 40; NaN for an image of one color.

    Raises:
      ValueError: if it is smaller than 16x16 pixels.
    """
    plane = _plane(image)
    border, inside = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(plane, axis=axis)).mean(1 - axis)
        place = np.arange(steps.size) % BLOCK
        at_border = place == np.argmax([steps[place == each].mean() for each in range(BLOCK)])
        border.append(steps[at_border])
        inside.append(steps[~at_border])
    there, elsewhere = np.concatenate(border).mean(), np.concatenate(inside).mean()
    return float(there / elsewhere) if elsewhere > 0 else float("nan")


def high_frequency_energy(image: np.ndarray) -> float:
    """Mean power of the luma's detail above a quarter of a cycle a pixel.

    Args:
      image: RGB [H, W, 3], pixel values 0..255.

    Returns:
      Squared pixel values; divided by the real distortion's, how sharp a generated one is.

    Raises:
      ValueError: if it is smaller than 16x16 pixels.
    """
    frequency, power = _power(_plane(image))
    return float(power[frequency > _SPLIT].sum() / power.size)


def spectrum(reference: np.ndarray, distorted: np.ndarray) -> Spectrum:
    """Power of what a distortion has added, by spatial frequency in all directions.

    Args:
      reference: RGB [H, W, 3], pixel values 0..255.
      distorted: the same shape.

    Raises:
      ValueError: if the shapes differ, the images are smaller than 64x64 pixels or equal.
    """
    if reference.shape != distorted.shape:
        raise ValueError(f"expected images of one shape, got {reference.shape}, {distorted.shape}")
    residual = _plane(distorted) - _plane(reference)
    if min(residual.shape) < SPECTRUM_SMALLEST:
        raise ValueError(f"expected at least 64x64 pixels, got {residual.shape}")
    frequency, power = _power(residual)
    band = np.digitize(frequency, _EDGES) - 1
    means = np.array([power[band == index].mean() for index in range(len(BANDS))])
    if not means.min() > 0:
        raise ValueError("expected images that differ at all frequencies, got equal ones")
    seen = power[frequency >= _LOWEST]
    flatness = 10 * (np.log10(np.maximum(seen, _TINY)).mean() - math.log10(seen.mean()))
    return Spectrum(BANDS, means, float(flatness))


def ringing(reference: np.ndarray, distorted: np.ndarray) -> float:
    """Mean power of the luma's residual 3 to 8 pixels from edges, where the reference is smooth.

    Edges and what is smooth are told by the reference alone, after Marziliano et al. 2004. Noise
    and blocks count as well: the measure compares JPEG 2000 with what imitates it.

    Args:
      reference: RGB [H, W, 3], pixel values 0..255.
      distorted: the same shape.

    Returns:
      Squared pixel values; NaN for an image that has hardly any such place.

    Raises:
      ValueError: if it is smaller than 16x16 pixels.
    """
    plane = _plane(reference)
    gradient = np.asarray(ndimage.gaussian_gradient_magnitude(plane, 1.0), np.float64)
    near = np.asarray(ndimage.distance_transform_edt(gradient <= _EDGE))
    beside = (near > _BESIDE[0]) & (near <= _BESIDE[1])
    widest = np.asarray(ndimage.maximum_filter(gradient, 3), np.float64)
    beside &= (gradient > _EDGE).any() & (widest < _SMOOTH)
    if beside.sum() < _FEWEST:
        return math.nan
    return float(np.mean(np.square(_plane(distorted) - plane)[beside]))


@dataclasses.dataclass(frozen=True)
class Residuals:
    """All of these measures of one distorted image.

    Attributes:
      blockiness: see `blockiness`; NaN for small images and those of one color.
      high_frequency: see `high_frequency_energy`; NaN for small images.
      spectrum: of what was added; None for small images, and where nothing was.
      ringing: see `ringing`; NaN for small images and those without edges.
      std: of what was added, over all values of all channels, pixel values.
    """

    blockiness: float
    high_frequency: float
    spectrum: Spectrum | None
    ringing: float = math.nan
    std: float = math.nan


def measure(reference: np.ndarray, distorted: np.ndarray) -> Residuals:
    """All measures of a distorted image, as far as they can be had.

    Args:
      reference: RGB [H, W, 3], pixel values 0..255.
      distorted: the same shape.
    """
    std = float(np.std(distorted.astype(np.float64) - reference))
    if min(distorted.shape[:2]) < SMALLEST:
        return Residuals(math.nan, math.nan, None, std=std)
    found = None
    with contextlib.suppress(ValueError):  # small, or equal at some frequency
        found = spectrum(reference, distorted)
    rings = ringing(reference, distorted)
    return Residuals(blockiness(distorted), high_frequency_energy(distorted), found, rings, std)


def _plane(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST:
        raise ValueError(f"expected RGB of at least 16x16 pixels, got {list(image.shape)}")
    return luma(image)


def _power(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in cycles a pixel, and power, [H, W] each, of a plane that fades at its edges."""
    height, width = plane.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    faded = (plane - np.average(plane, weights=window)) * window
    power = np.abs(np.asarray(scipy.fft.fft2(faded))) ** 2 / np.sum(window**2)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    return frequency, power
