"""SSIM and MS-SSIM in TensorFlow, mean over RGB channels, Gaussian window of 11 pixels.

libvmaf's values, which ProxIQA reports, are of luma and, for SSIM, of a down-sampled
image: see `lossylab.eval.metrics.vmaf`.
"""

import tensorflow as tf

from lossylab.eval.metrics.psnr import as_float, check_same_shape

_PEAK = 255.0
MS_SSIM_SMALLEST = 161  # pixels: (11 - 1) * 2^4 + 1, the fifth scale must hold the window
SSIM_SMALLEST = 11
UNIFORM_SMALLEST = 8  # pixels, the window's


def ssim(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    """SSIM (Wang et al. 2004) of [B, H, W, 3], pixel values 0..255; float32 [B], at most 1.

    Raises:
      ValueError: if the images are smaller than 11 pixels.
    """
    check_same_shape(reference, distorted)
    _check(reference, SSIM_SMALLEST, "SSIM with an 11-tap window")
    return tf.image.ssim(as_float(reference), as_float(distorted), _PEAK)


def ssim_uniform(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
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
    x, y = (tf.cast(image, tf.float64) for image in (reference, distorted))

    def mean(values: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(values, UNIFORM_SMALLEST, 1, "VALID")

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return tf.reduce_mean(luminance * (2 * covariance + c2) / (variances + c2), (1, 2, 3))


def ms_ssim(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    """MS-SSIM (Wang et al. 2003), five scales; arguments and result as for `ssim`.

    Raises:
      ValueError: if the images are smaller than 161 pixels.
    """
    check_same_shape(reference, distorted)
    _check(reference, MS_SSIM_SMALLEST, "MS-SSIM with five scales and an 11-tap window")
    return tf.image.ssim_multiscale(as_float(reference), as_float(distorted), _PEAK)


def _check(image: tf.Tensor, smallest: int, name: str) -> None:
    height, width = image.shape[1:3]
    if min(height, width) < smallest:
        raise ValueError(
            f"{name} needs images of at least {smallest}x{smallest} pixels, got {width}x{height}"
        )
