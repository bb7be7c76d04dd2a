"""VMAF, VIF, SSIM, MS-SSIM and PSNR by libvmaf inside ffmpeg: the paper's measuring tool.

Protocol for still images: 8-bit RGB is converted to 8-bit YUV 4:4:4 (BT.601, limited range,
ffmpeg's default), model vmaf_v0.6.1 with motion forced to zero. VMAF of identical images is
therefore 97.43, not 100. Of a gray pair, whose Cb and Cr are equal and say nothing, PSNR is that of
luma. MS-SSIM is 0 where libvmaf has none, as negative factors have no roots. SSIM is of the image
down-sampled by max(1, round(shorter side / 256)) (libvmaf's ssim.c): by 2 of Kodak's images, not
at all of patches of 128 pixels, so a proxy learns another SSIM than is measured. A batch is one
call through one pipe, reference below distorted; its scores equal those of single calls.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from lossylab.core import ffmpeg
from lossylab.data.color import is_gray
from lossylab.eval.metrics.psnr import PLANE_WEIGHTS

MODEL = "vmaf_v0.6.1"
PROTOCOL = f"libvmaf {MODEL}, motion 0, yuv444p BT.601 limited range, 8 bit, one frame"
GRAY = "PSNR of gray images is luma's: their Cb and Cr are equal and say nothing"

# Metric -> (libvmaf feature, field of the log). VMAF's own fields need models, not features.
_FIELDS = {
    "vmaf": (None, ("vmaf",)),
    "vmaf_neg": (None, ("vmaf_neg",)),
    "ssim": ("name=float_ssim", ("float_ssim",)),
    "ms_ssim": ("name=float_ms_ssim", ("float_ms_ssim",)),
    "vif": (r"name=float_vif\:debug=true", ("vif",)),
    "vif_scale0": (r"name=float_vif\:debug=true", ("vif_scale0",)),
    "psnr": ("name=psnr", ("psnr_y", "psnr_cb", "psnr_cr")),
}
_UNDEFINED = {"float_ms_ssim": 0.0}  # of an image and its negative; as TensorFlow has it
_MODELS = {"vmaf": MODEL, "vmaf_neg": f"{MODEL}neg"}  # NEG: no enhancement gain
METRICS = tuple(_FIELDS)
REPORTED = ("psnr", "ssim", "ms_ssim", "vif", "vmaf")  # what validation and tables show
MS_SSIM_SMALLEST = 176  # pixels; libvmaf refuses less
SMALLEST = 32  # pixels; for the other metrics


def measure(
    reference: np.ndarray, distorted: np.ndarray, metrics: Sequence[str] = ("vmaf",)
) -> dict[str, np.ndarray]:
    """Scores a batch of pairs.

    Args:
      reference: uint8 [B, H, W, 3], RGB.
      distorted: likewise.
      metrics: names from `METRICS`: 'vmaf' (0..100), 'vmaf_neg' (the same, without a reward for
        more contrast and sharpness than the reference has), 'ssim', 'ms_ssim', 'vif' (overall
        ratio of four scales), 'vif_scale0', 'psnr' (Eq. 12 in dB, planes capped at 60 by libvmaf;
        of a gray pair luma's).

    Returns:
      For each metric float64 [B].

    Raises:
      ValueError: if shapes, types or metrics do not fit.
      FFmpegError: if ffmpeg is missing, fails, or answers for another number of images.
    """
    check_pair(reference, distorted, metrics)
    count, height, width, _ = reference.shape
    frames = np.concatenate([distorted, reference], axis=1)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{2 * height}", "-i", "pipe:0"]
    log = ffmpeg.run(arguments(source, str(width), str(height), metrics), stdin=frames.tobytes())
    scores = read_log(log, metrics)
    if len(scores) != count:
        raise ffmpeg.FFmpegError(f"libvmaf scored {len(scores)} images of {count}")
    return columns(scores, metrics, reference, distorted)


def columns(
    frames: Sequence[dict[str, float]],
    metrics: Sequence[str],
    reference: np.ndarray,
    distorted: np.ndarray,
) -> dict[str, np.ndarray]:
    """Scores by metric, float64 [B], from what `read_log` gives of a batch."""
    gray = is_gray(reference) & is_gray(distorted)
    return {
        name: np.array([_value(name, *each) for each in zip(frames, gray)], np.float64)
        for name in metrics
    }


def _value(name: str, frame: dict[str, float], gray: bool) -> float:
    values = [frame[field] for field in _FIELDS[name][1]]
    if len(values) == 1 or gray:
        return values[0]
    return float(np.dot(values, PLANE_WEIGHTS))


def reported_for(height: int, width: int) -> list[str]:
    """Those of `REPORTED` that an image of this size is large enough for."""
    large = min(height, width) >= MS_SSIM_SMALLEST
    return [name for name in REPORTED if large or name != "ms_ssim"]


def read_log(log: bytes, metrics: Sequence[str]) -> list[dict[str, float]]:
    """Fields of each frame of a libvmaf log; raises FFmpegError if one has no number."""
    fields = [field for name in metrics for field in _FIELDS[name][1]]
    try:
        frames = [frame["metrics"] for frame in json.loads(log)["frames"]]
        return [{field: _number(field, frame[field]) for field in fields} for frame in frames]
    except (ValueError, KeyError, TypeError) as error:
        raise ffmpeg.FFmpegError(f"libvmaf's log is not readable: {log[:200]!r}") from error


def _number(field: str, value: float | None) -> float:
    return float(_UNDEFINED[field] if value is None else value)


def arguments(source: list[str], width: str, height: str, metrics: Sequence[str]) -> list[str]:
    """ffmpeg's arguments to score pairs that lie stacked in frames, distorted on top.

    Args:
      source: arguments that name the input.
      width: of one image, an ffmpeg expression.
      height: likewise.
      metrics: names from `METRICS`.
    """
    features = sorted({_FIELDS[name][0] for name in metrics} - {None})
    extra = f":feature='{'|'.join(features)}'" if features else ""
    still = r"\:motion.motion_force_zero=true"
    asked = [name for name in _MODELS if name == "vmaf" or name in metrics]
    models = "|".join(rf"version={_MODELS[name]}\:name={name}{still}" for name in asked)
    graph = (
        "format=yuv444p,split[a][b];"
        f"[a]crop={width}:{height}:0:0[d];[b]crop={width}:{height}:0:{height}[r];"
        "[d][r]libvmaf=log_fmt=json:log_path=/dev/stdout:"
        f"model='{models}'{extra}"
    )
    threads = ["-threads", "1", "-filter_complex_threads", "1"]
    return ["-v", "error", *threads, *source, "-filter_complex", graph, "-f", "null", "-"]


def check_metrics(metrics: Sequence[str]) -> None:
    """Refuses names that are not in `METRICS`; raises ValueError."""
    for name in metrics:
        if name not in _FIELDS:
            raise ValueError(f"unknown metric '{name}', expected one of {', '.join(METRICS)}")


def check_pair(reference: np.ndarray, distorted: np.ndarray, metrics: Sequence[str]) -> None:
    """Refuses pairs that cannot be scored; raises ValueError."""
    for name, image in (("reference", reference), ("distorted", distorted)):
        if image.ndim != 4 or image.shape[-1] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f"{name} must be uint8 [B, H, W, 3], got {image.dtype} {list(image.shape)}"
            )
    if reference.shape != distorted.shape:
        raise ValueError(
            f"the pair must have one shape, got {list(reference.shape)} and {list(distorted.shape)}"
        )
    if not len(reference):
        raise ValueError("the batch is empty")
    check_metrics(metrics)
    for name in metrics:
        smallest = MS_SSIM_SMALLEST if name == "ms_ssim" else SMALLEST
        height, width = reference.shape[1:3]
        if min(height, width) < smallest:
            raise ValueError(
                f"{name} by libvmaf needs at least {smallest}x{smallest} pixels, "
                f"got {width}x{height}"
            )
