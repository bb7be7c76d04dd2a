"""What is measured of a coded and decoded image: sets of quality measures for sweeps."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from lossylab.core import ffmpeg
from lossylab.core.errors import WorkError
from lossylab.data.color import is_gray
from lossylab.eval.metrics import vmaf
from lossylab.eval.metrics.lpips import LPIPS
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.ssim import MS_SSIM_SMALLEST, ms_ssim
from lossylab.eval.schemas import CODED_COLOR, COLOR_MEASURES, LIBVMAF_MEASURES
from lossylab.inference.codecs import jpeg_decoders, jpeg_files

_JPEG = b"\xff\xd8"  # how its files begin


class Measures(abc.ABC):
    """A set of measures.

    Attributes:
      names: the columns that they fill.
      tool: the column that names their software.
      version: what it says there.
      protocol: how is measured, in words; rows of another protocol are measured again.
      smallest: height and width in pixels that images need at least.
      added: columns that rows of earlier versions lack, and what is taken for them.
    """

    names: tuple[str, ...]
    tool: str
    version: str
    protocol: str
    smallest: int
    added: Mapping[str, str] = {}

    def exception(self, image: np.ndarray) -> str:
        """What is measured otherwise of an image than `protocol` says, in words; '' if nothing."""
        del image
        return ""

    @abc.abstractmethod
    def __call__(self, image: np.ndarray, decoded: np.ndarray, data: bytes) -> dict[str, float]:
        """Values by name, those that there are.

        Args:
          image: uint8 [H, W, 3].
          decoded: likewise.
          data: the file that it was decoded from.
        """


class Libvmaf(Measures):
    """VMAF, VIF, SSIM, MS-SSIM and PSNR as ProxIQA reports them, and PSNR of RGB."""

    names = LIBVMAF_MEASURES
    tool = "ffmpeg"
    smallest = vmaf.SMALLEST

    def __init__(self):
        """Finds the ffmpeg that measures; raises FFmpegError."""
        self.version = ffmpeg.version(ffmpeg.executable())
        self.protocol = vmaf.PROTOCOL

    def exception(self, image: np.ndarray) -> str:
        """Of gray images."""
        return vmaf.GRAY if is_gray(image) else ""

    def __call__(self, image: np.ndarray, decoded: np.ndarray, data: bytes) -> dict[str, float]:
        """Measures a pair; see `Measures`."""
        asked = [*vmaf.reported_for(*image.shape[:2]), "vif_scale0"]
        scores = vmaf.measure(image[None], decoded[None], asked)
        values = {name: float(scores[name][0]) for name in asked}
        return {**values, "psnr_rgb": psnr(image, decoded)}


class Color(Measures):
    """MSE, MS-SSIM and LPIPS of RGB, as the JPEG encoder's paper reports them, and VMAF.

    Of JPEG files also their size with optimized Huffman codes, coefficients unchanged, and how far
    ffmpeg's decoder differs from Pillow's, in sample values of the stored planes. Files with chroma
    sub-sampling, which other encoders write with codes of their own, and other formats keep their
    size.
    """

    names, added = COLOR_MEASURES, CODED_COLOR.added
    tool = "tensorflow"
    version = tf.__version__
    smallest = MS_SSIM_SMALLEST

    def __init__(self, lpips: str | None = None, network: str = "alex"):
        """Loads LPIPS.

        Args:
          lpips: its weights, see `metrics.lpips`; None leaves it out.
          network: likewise.

        Raises:
          BackboneError: if the weights cannot be had.
        """
        self._lpips = LPIPS(lpips, network) if lpips else None
        self.lpips = "no LPIPS"
        if self._lpips is not None:
            weights = lpips if lpips == "random" else self._lpips.fingerprint()
            self.lpips = f"LPIPS {network}, weights {weights}"
        self.protocol = f"RGB, 8 bit, MS-SSIM in float64; {self.lpips}; {vmaf.PROTOCOL}"

    def __call__(self, image: np.ndarray, decoded: np.ndarray, data: bytes) -> dict[str, float]:
        """Measures a pair; see `Measures`."""
        values = {
            "mse": float(np.mean(np.square(image.astype(np.float64) - decoded))),
            "psnr_rgb": psnr(image, decoded),
            "ms_ssim_rgb": float(ms_ssim(image[None], decoded[None])[0]),
            "vmaf": float(vmaf.measure(image[None], decoded[None])["vmaf"][0]),
        }
        values["bytes_optimized"] = len(data)
        if data.startswith(_JPEG):
            with contextlib.suppress(WorkError):  # of all but baseline 4:4:4 of gray or YCbCr
                values["bytes_optimized"] = len(jpeg_files.optimized(data))
                values["decoder_difference"] = jpeg_decoders.apart(data)
        if self._lpips is not None:
            values["lpips"] = self._lpips(image, decoded)
        return values
