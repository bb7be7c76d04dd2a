"""How far metrics that lossylab and libvmaf both compute agree, on JPEG images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.core import command
from lossylab.core.files import make_folder, write_text
from lossylab.data.collections import find_images
from lossylab.data.color import luma
from lossylab.data.decode import read_image
from lossylab.data.patches import check_sizes
from lossylab.eval.metrics import vmaf
from lossylab.eval.metrics.api import psnr
from lossylab.eval.metrics.psnr import psnr_ycbcr
from lossylab.eval.metrics.ssim import ms_ssim, ssim
from lossylab.eval.options.crops import MetricAgreementOptions
from lossylab.eval.report.tables import csv_table, markdown_table, number
from lossylab.inference.codecs.classical import Jpeg

_QUALITIES = ("10", "30", "60", "90")

# Ours (a function of two float32 batches) -> libvmaf's name, and why they may differ.
_PAIRS = {
    "psnr_ycbcr": (psnr_ycbcr, "psnr", "the same definition; rounding of planes in ffmpeg"),
    "psnr_rgb": (psnr, "psnr", "RGB against weighted Y, Cb, Cr in limited range"),
    "SSIM of luma": (
        lambda a, b: ssim(*map(_gray, (a, b))),
        "ssim",
        "libvmaf averages 2x2 pixels first at this size",
    ),
    "SSIM of RGB": (ssim, "ssim", "and three channels against luma"),
    "MS-SSIM of luma": (
        lambda a, b: ms_ssim(*map(_gray, (a, b))),
        "ms_ssim",
        "low-pass filter between scales, borders",
    ),
    "MS-SSIM of RGB": (ms_ssim, "ms_ssim", "and three channels against luma"),
}


def measure(options: MetricAgreementOptions) -> None:
    """Writes agreement.md and agreement.csv."""
    paths = find_images(options.data)
    paths = check_sizes(paths, vmaf.MS_SSIM_SMALLEST, "libvmaf's MS-SSIM", options.skip_small)
    out = make_folder(options.out)
    scores = [_scores(path, quality) for path in paths for quality in _QUALITIES]
    lines = [_line(name, scores) for name in _PAIRS]
    text = [
        "# Metrics of lossylab against libvmaf's",
        "",
        f"{options.data}: {len(paths)} images, each as JPEG of quality {', '.join(_QUALITIES)}. "
        f"libvmaf: {vmaf.PROTOCOL}.",
        "",
        markdown_table(lines),
        "",
    ]
    write_text(out / "agreement.md", "\n".join(text))
    write_text(out / "agreement.csv", csv_table(lines))
    command.written(out, "agreement.md, agreement.csv")


def _gray(image: tf.Tensor) -> tf.Tensor:
    """8-bit luma as ffmpeg makes it."""
    return tf.round(luma(image))


def _scores(path: str, quality: str) -> dict[str, tuple[float, float]]:
    """(ours, libvmaf's) of each pair for one image."""
    image = read_image(path)
    codec = Jpeg()
    decoded = codec.decode(codec.encode(image, quality), quality)
    theirs = vmaf.measure(image[None], decoded[None], ("psnr", "ssim", "ms_ssim"))
    pair = [tf.cast(each[None], tf.float32) for each in (image, decoded)]
    return {
        name: (float(function(*pair)[0]), float(theirs[other][0]))
        for name, (function, other, _) in _PAIRS.items()
    }


def _line(name: str, scores: list[dict]) -> dict[str, str]:
    ours, theirs = np.array([score[name] for score in scores]).T
    digits = 3 if _PAIRS[name][1] == "psnr" else 5
    return {
        "lossylab": name,
        "libvmaf": _PAIRS[name][1],
        "mean difference": number(float(np.mean(ours - theirs)), digits, "+"),
        "largest": number(float(np.abs(ours - theirs).max()), digits),
        "correlation": number(float(np.corrcoef(ours, theirs)[0, 1]), 5),
        "why": _PAIRS[name][2],
    }


if __name__ == "__main__":
    command.as_program(MetricAgreementOptions, measure, "lossylab eval metrics")
