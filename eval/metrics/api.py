"""Image quality by one signature, as `lossylab.metrics`.

  from lossylab import metrics
  metrics.psnr(reference, distorted)  # a float; of batches a float64 array [B]
  metrics.METRICS["psnr"].higher_is_better

Images are [H, W, 3] or [B, H, W, 3], RGB, uint8 or numbers 0..255. Training uses the functions of
tensors that these are made of.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lossylab.core.errors import UsageError
from lossylab.core.options import require
from lossylab.eval.metrics import lpips as lpips_files
from lossylab.eval.metrics import psnr as psnr_planes
from lossylab.eval.metrics import psnr_b as blocking
from lossylab.eval.metrics import ssim as similarity
from lossylab.eval.metrics import vmaf as libvmaf

__all__ = (
    "METRICS",
    "Metric",
    "lpips",
    "ms_ssim",
    "ms_ssim_libvmaf",
    "mse",
    "psnr",
    "psnr_b",
    "psnr_libvmaf",
    "psnr_ycbcr",
    "ssim",
    "ssim_libvmaf",
    "ssim_uniform",
    "vif",
    "vif_scale0",
    "vmaf",
    "vmaf_neg",
)

_CHANNELS = 3
_PEAK = 255


@dataclasses.dataclass(frozen=True)
class Metric:
    """A full-reference metric; called with a pair, it gives its value.

    Attributes:
      name: short name.
      definition: what it measures and in which unit.
      higher_is_better: its direction.
      smallest: height and width in pixels that images need at least.
    """

    name: str
    definition: str
    higher_is_better: bool
    smallest: int
    _score: Callable[[np.ndarray, np.ndarray], npt.ArrayLike] = dataclasses.field(repr=False)

    def __call__(
        self, reference: npt.ArrayLike, distorted: npt.ArrayLike
    ) -> float | npt.NDArray[np.float64]:
        """The value of a pair, or of every pair of two batches.

        Args:
          reference: [H, W, 3] or [B, H, W, 3], uint8 or numbers 0..255.
          distorted: of the same shape.

        Returns:
          A float for one image, float64 [B] for a batch.

        Raises:
          UsageError: if shapes, sizes or ranges do not fit.
          FFmpegError: of libvmaf's metrics, if ffmpeg is missing or fails.
        """
        pair = [np.asarray(image) for image in (reference, distorted)]
        for image, role in zip(pair, ("reference", "distorted")):
            self._check(image, role)
        shapes = [list(image.shape) for image in pair]
        require(
            shapes[0] == shapes[1],
            f"the pair must have one shape, got {shapes[0]} and {shapes[1]}",
        )
        single = pair[0].ndim == 3
        batch = [image[None] if single else image for image in pair]
        scores = np.asarray(self._score(*batch), np.float64)
        return float(scores[0]) if single else scores

    def _check(self, image: np.ndarray, role: str) -> None:
        """Refuses what is no image or batch of this metric's; raises UsageError."""
        shown = list(image.shape)
        require(
            image.ndim in (3, 4) and image.shape[-1] == _CHANNELS and image.size,
            f"{role} must be [H, W, 3] or [B, H, W, 3], got {shown}",
        )
        require(
            np.issubdtype(image.dtype, np.integer) or np.issubdtype(image.dtype, np.floating),
            f"{role} must be uint8 or numbers 0..255, got {image.dtype}",
        )
        low, high = image.min(), image.max()
        require(
            low >= 0 and high <= _PEAK,
            f"{role} must lie in 0..255, its values are from {low:g} to {high:g}",
        )
        height, width = image.shape[-3:-1]
        require(
            min(height, width) >= self.smallest,
            f"{self.name} needs images of at least {self.smallest}x{self.smallest} pixels, got "
            f"{width}x{height}",
        )


def _each(score: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., list[float]]:
    """A score of single images as one of batches."""
    return lambda reference, distorted: [score(*pair) for pair in zip(reference, distorted)]


def _mse(reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    return np.mean(np.square(reference.astype(np.float64) - distorted), (1, 2, 3))


def _libvmaf(name: str, reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
    """A score of libvmaf's, which takes 8-bit images."""
    pair = [image.astype(np.uint8) for image in (reference, distorted)]
    for rounded, image, role in zip(pair, (reference, distorted), ("reference", "distorted")):
        if not np.array_equal(rounded, image):
            raise UsageError(f"libvmaf measures 8-bit images: round the {role} ones first")
    return libvmaf.measure(pair[0], pair[1], (name,))[name]


def _by_libvmaf(name: str, feature: str, definition: str) -> Metric:
    smallest = libvmaf.MS_SSIM_SMALLEST if feature == "ms_ssim" else libvmaf.SMALLEST
    return Metric(
        name, f"{definition}, by libvmaf", True, smallest, functools.partial(_libvmaf, feature)
    )


mse = Metric("mse", "mean squared error of RGB", False, 1, _mse)
psnr = Metric("psnr", "PSNR of RGB, dB", True, 1, _each(psnr_planes.psnr))
psnr_ycbcr = Metric(
    "psnr_ycbcr", "(4 Y + Cb + Cr) / 6 of the planes' PSNR, dB", True, 1, psnr_planes.psnr_ycbcr
)
psnr_b = Metric(
    "psnr_b",
    "PSNR that counts the steps at borders of JPEG's blocks, mean over RGB, dB",
    True,
    blocking.SMALLEST,
    _each(blocking.psnr_b),
)
ssim = Metric(
    "ssim", "SSIM of RGB, Gaussian window of 11", True, similarity.SSIM_SMALLEST, similarity.ssim
)
ssim_uniform = Metric(
    "ssim_uniform",
    "SSIM of RGB, uniform window of 8",
    True,
    similarity.UNIFORM_SMALLEST,
    similarity.ssim_uniform,
)
ms_ssim = Metric(
    "ms_ssim",
    "MS-SSIM of RGB, five scales",
    True,
    similarity.MS_SSIM_SMALLEST,
    similarity.ms_ssim,
)
vmaf = _by_libvmaf("vmaf", "vmaf", "VMAF, 0..100; 97.43 of equal images")
vmaf_neg = _by_libvmaf(
    "vmaf_neg", "vmaf_neg", "VMAF NEG, 0..100, which does not reward enhancement"
)
vif = _by_libvmaf("vif", "vif", "VIF of luma, four scales")
vif_scale0 = _by_libvmaf("vif_scale0", "vif_scale0", "VIF of luma, the finest scale")
ssim_libvmaf = _by_libvmaf("ssim_libvmaf", "ssim", "SSIM of luma")
ms_ssim_libvmaf = _by_libvmaf("ms_ssim_libvmaf", "ms_ssim", "MS-SSIM of luma")
psnr_libvmaf = _by_libvmaf(
    "psnr_libvmaf", "psnr", "(4 Y + Cb + Cr) / 6 of the planes' PSNR, capped at 60 dB"
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(mse, psnr, psnr_ycbcr, psnr_b, ssim, ssim_uniform, ms_ssim, vmaf, vmaf_neg, vif),
        *(vif_scale0, ssim_libvmaf, ms_ssim_libvmaf, psnr_libvmaf),
    )
}


def lpips(weights: str, network: str = "alex") -> Metric:
    """LPIPS (Zhang et al. 2018), version 0.1, a metric that needs weights.

    Args:
      weights: a file that `lossylab import lpips` wrote, or 'random'.
      network: 'alex', 'vgg' or 'squeeze'.

    Raises:
      BackboneError: if the weights cannot be had.
    """
    distance = lpips_files.LPIPS(weights, network)
    return Metric(
        "lpips", f"LPIPS of {network}'s features", False, lpips_files.SMALLEST, _each(distance)
    )
