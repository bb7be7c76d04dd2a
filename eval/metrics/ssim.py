"""SSIM and MS-SSIM in float64, mean over RGB channels, Gaussian window of 11 pixels.

Not `tf.image.ssim`: it adds up in float32, which goes wrong by 1e-4 on images of 768x512 and by
.02 on 3072x2048. As losses, where that does not matter, trainings take TensorFlow's. libvmaf's
values, which ProxIQA reports, are of luma and, for SSIM, of a down-sampled image where the shorter
side has 384 pixels or more: see `lossylab.eval.metrics.vmaf`.
"""

import numpy as np
from scipy.ndimage import uniform_filter1d
from skimage.metrics import structural_similarity

from lossylab.eval.metrics.psnr import check_same_shape

_PEAK = 255.0
MS_SSIM_SMALLEST = 161  # pixels: (11 - 1) * 2^4 + 1, the fifth scale must hold the window
SSIM_SMALLEST = 11
UNIFORM_SMALLEST = 8  # pixels, the window's
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales (Wang et al. 2003)
_NO_LUMINANCE = 1e6  # a constant that makes the luminance's factor of SSIM 1


def ssim(reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """SSIM (Wang et al. 2004) of [B, H, W, 3], pixel values 0..255; float64 [B], at most 1.

    Raises:
      ValueError: if the images are smaller than 11 pixels.
    """
    check_same_shape(reference, distorted)
    _check(reference, SSIM_SMALLEST, "SSIM with a window of 11 pixels")
    pairs = zip(*(np.asarray(image, np.float64) for image in (reference, distorted)))
    return np.array([_channels(*pair).mean() for pair in pairs])


def ssim_uniform(reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """SSIM with a uniform 8x8 window, as the ARCNN paper and its followers have it.

    Args:
      reference: [B, H, W, C], pixel values 0..255.
      distorted: likewise.

    Returns:
      float64 [B], mean over places where the window fits, and channels.

    Raises:
      ValueError: if the images are smaller than 8 pixels.
    """
    check_same_shape(reference, distorted)
    _check(reference, UNIFORM_SMALLEST, "SSIM with an 8x8 window")
    # Variances are differences of large numbers: float32 would lose them.
    x, y = (np.asarray(image, np.float64) for image in (reference, distorted))
    mean_x, mean_y = _uniform_mean(x), _uniform_mean(y)
    variances = _uniform_mean(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _uniform_mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((1, 2, 3))


def _uniform_mean(values: np.ndarray) -> np.ndarray:
    """Means of the 8x8 pixels at each place of [B, H, W, C] where they fit."""
    height, width = (size - UNIFORM_SMALLEST + 1 for size in values.shape[1:3])
    for axis in (1, 2):
        values = uniform_filter1d(values, UNIFORM_SMALLEST, axis)
    first = UNIFORM_SMALLEST // 2  # SciPy's windows lie about a place
    return values[:, first : first + height, first : first + width]


def ms_ssim(reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """MS-SSIM (Wang et al. 2003), five scales; arguments and result as for `ssim`.

    Raises:
      ValueError: if the images are smaller than 161 pixels.
    """
    check_same_shape(reference, distorted)
    _check(reference, MS_SSIM_SMALLEST, "MS-SSIM with five scales and a window of 11 pixels")
    pairs = zip(*(np.asarray(image, np.float64) for image in (reference, distorted)))
    return np.array([_multiscale(*pair) for pair in pairs])


def _multiscale(reference: np.ndarray, distorted: np.ndarray) -> float:
    found = 1.0
    for weight in _MS_SSIM_WEIGHTS[:-1]:
        structure = _channels(reference, distorted, k1=_NO_LUMINANCE)
        found = found * np.maximum(structure, 0) ** weight
        reference, distorted = _halve(reference), _halve(distorted)
    coarsest = _channels(reference, distorted)
    return float(np.mean(found * np.maximum(coarsest, 0) ** _MS_SSIM_WEIGHTS[-1]))


def _channels(reference: np.ndarray, distorted: np.ndarray, k1: float = 0.01) -> np.ndarray:
    """SSIM of each channel of float64 [H, W, C], where the whole window fits."""
    found = structural_similarity(
        *(reference, distorted),
        data_range=_PEAK,
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
        K1=k1,
    )
    places = np.asarray(found[1])
    border = SSIM_SMALLEST // 2
    return places[border:-border, border:-border].mean((0, 1))


def _halve(image: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; odd sizes repeat the last row or column."""
    height, width, channels = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "symmetric")
    return even.reshape(-(-height // 2), 2, -(-width // 2), 2, channels).mean((1, 3))


def _check(image: np.ndarray, smallest: int, name: str) -> None:
    height, width = image.shape[1:3]
    if min(height, width) < smallest:
        raise ValueError(
            f"{name} needs images of at least {smallest}x{smallest} pixels, got {width}x{height}"
        )
