"""What rows of each measurement hold. Reports read rows by these alone, without TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Schema:
    """Columns of a file of rows.

    Attributes:
      columns: all, in their order.
      text: those that are no numbers.
      key: those that name a row.
      identity: those that say what decides its values.
      added: columns that files of earlier versions lack, and what is taken for them there.
    """

    columns: tuple[str, ...]
    text: tuple[str, ...]
    key: tuple[str, ...]
    identity: tuple[str, ...] = ("identity", "content")
    added: Mapping[str, str] = dataclasses.field(default_factory=dict)


# --- Rate and distortion of codecs -----------------------------------------------------------
LIBVMAF_MEASURES = ("psnr", "psnr_rgb", "ssim", "ms_ssim", "vif", "vif_scale0", "vmaf")
COLOR_MEASURES = (
    *("mse", "psnr_rgb", "ms_ssim_rgb", "lpips", "bytes_optimized", "decoder_difference", "vmaf"),
)


def coded(measures: tuple[str, ...], tool: str, **added: str) -> Schema:
    """Of codecs' rows, by a set of measures and the column that names their software."""
    return Schema(
        (
            *("codec", "point", "points", "setting", "data", "image", "width", "height", "bytes"),
            *("bpp_file", "bpp_estimated", *measures, "encode_ms", "decode_ms"),
            *("version", tool, "identity", "content"),
        ),
        ("codec", "setting", "data", "image", "version", tool, "identity", "content"),
        ("codec", "setting", "data", "image"),
        added=added,
    )


OTHER_JPEGS = ("jpegli", "mozjpeg", "mozjpeg444")  # encoders of packages that need not be there
OTHER_FORMATS = ("webp", "avif444", "avif420", "jpegxl")  # what JPEG competes with, newer codecs
COMPETITORS = (*OTHER_JPEGS, *OTHER_FORMATS)
# Runs of a study of JPEG encoders in which the tables that variants begin with learn alone, by the
# rate that these name; None is the study's.
TABLE_STARTS = {None: "start", "coefficients": "start_bits"}
CODED = coded(LIBVMAF_MEASURES, "ffmpeg")
CODED_COLOR = coded(COLOR_MEASURES, "tensorflow", vmaf="nan")

# --- Restoration of JPEG images --------------------------------------------------------------
OFFICIAL, UNTRAINED = "official weights", "no training"  # budgets
PERCEPTUAL = "perceptual loss by"  # in budgets, before the network that it looks through
# By a trained network's features (`features` names it) and by libvmaf: nan unless asked for.
RESTORATION_JUDGES = ("vmaf", "feature_distance", "feature_frechet")
RESTORATION_MEASURES = ("psnr", "ssim", "ssim_uniform", "psnr_b", "lpips", *RESTORATION_JUDGES)
RESTORATION = Schema(
    (
        *("method", "channels", "quality", "data", "image", "width", "height"),
        *(*RESTORATION_MEASURES, "features", "seconds", "parameters", "budget", "version"),
        *("identity", "content"),
    ),
    (
        *("method", "channels", "data", "image", "features", "budget", "version", "identity"),
        "content",
    ),
    ("method", "channels", "quality", "data", "image"),
    added={**dict.fromkeys(RESTORATION_JUDGES, "nan"), "features": ""},
)
RESTORED_SETS = Schema(
    (
        *("method", "channels", "quality", "data", "images", "inception_score", "fid"),
        *("weights", "budget", "version", "identity"),
    ),
    ("method", "channels", "data", "weights", "budget", "version", "identity"),
    ("method", "channels", "quality", "data"),
    ("identity", "weights"),
)
ENOUGH_IMAGES = 2048  # with fewer, the covariance of Inception's 2048 features is singular

# --- Distortions -----------------------------------------------------------------------------
SHORT = {"jpeg": "JPEG", "jpeg2000": "JP2K", "white": "WN", "pink": "PN"}  # as Table I has them
SEVERITY_LIMITED = "within the limits"  # a column of severity.csv: yes or no
# What the divergence does not see: of the generated image, beside the same of the real distortion.
# `untouched` is the divergence of the reference image itself, which a method must stay below;
# `spectrum_gap` is in dB, from the real residual's spectrum, `bands` is that spectrum in dB.
RESIDUALS = (
    *("untouched", "blockiness", "real_blockiness", "high_frequency", "real_high_frequency"),
    *("slope", "real_slope", "unevenness", "real_unevenness", "spectrum_gap"),
    *("flatness", "real_flatness", "ringing", "real_ringing", "std", "real_std"),
)
BANDS = ("bands", "real_bands")
DIVERGENCES = Schema(
    (
        *("generated", "reference", "severity", "data", "image", "width", "height", "jsd"),
        *("residual", *RESIDUALS, *BANDS),
        *("seconds", "parameters", "budget", "protocol", "identity", "content"),
    ),
    (
        *("generated", "reference", "data", "image", *BANDS),
        *("budget", "protocol", "identity", "content"),
    ),
    ("generated", "reference", "severity", "data", "image"),
    added={**dict.fromkeys(RESIDUALS, "nan"), **dict.fromkeys(BANDS, "")},
)

# --- Restoration in a generator's latent space -----------------------------------------------
SCORES = ("mean", "median", "resize_mean", "resize_median")  # of RankIQA, Table 2
_LATENT_KEY = ("row", "variant", "version", "task", "data", "image", "seed")
# cosine: of the styles' distances from their mean, found and true, mean of the layers; 1 in the
# same direction, about 0 for independent samples. nll: bits/dim of the given image, given the
# restored one (Fig. 4). own_nll: by the model that was searched with; of the original, by the
# shortest trained, and longest_nll by the longest.
LATENT_MEASURES = (
    *("psnr", "ssim", "latent", "cosine", "mmd", "threshold", "pixel", "geocross", "nll"),
    *("own_nll", "total", "norm", "angle", "best_step", *SCORES, "seconds", "longest_nll"),
)
LATENT = Schema(
    (*_LATENT_KEY, *LATENT_MEASURES, "quality", "factor", "budget", "protocol", "identity"),
    ("row", "variant", "task", "data", "image", "budget", "protocol", "identity"),
    _LATENT_KEY,
    ("identity",),
    {"cosine": "nan", "longest_nll": "nan"},
)
PAIRED, UNPAIRED = KINDS = ("paired", "unpaired")  # of degraded images and conditions
ONE_SPREAD = "clean image with one spread"  # begins the names of degradation models' rival
DEGRADATION_NLL = Schema(
    (
        *("model", "degradation", "severity", "factor", "kind", "data", "image", "condition"),
        *("width", "height", "nll", "seconds", "parameters", "budget", "protocol", "identity"),
        "content",
    ),
    (
        *("model", "degradation", "kind", "data", "image", "condition", "budget", "protocol"),
        *("identity", "content"),
    ),
    ("model", "kind", "data", "image"),
    ("condition", "identity", "content"),
)


def one_spread(degradation: str, severity: float, factor: int) -> str:
    """Name of the rival of models of a degradation: see `eval.one_spread`."""
    return f"{ONE_SPREAD}: {degradation} {severity:g}, 1/{factor}"


RANK_ACCURACY = Schema(
    (
        *("paper", "model", "distortion", "levels", "data", "images", "crops", "seed"),
        *("accuracy", "accuracy_same", "srocc", "parameters", "budget", "identity", "content"),
    ),
    ("paper", "model", "distortion", "levels", "data", "budget", "identity", "content"),
    ("model", "distortion", "levels", "data"),
    ("crops", "seed", "budget", "identity", "content"),
)

# Files of rows that images are measured into, what is said of them beside, and whose rows they are.
FILES = {"rows.csv": "about.json", "nll.csv": "nll_about.json"}
OF_IMAGES = {
    "rows.csv": (CODED, CODED_COLOR, RESTORATION, DIVERGENCES, LATENT),
    "nll.csv": (DEGRADATION_NLL,),
}
