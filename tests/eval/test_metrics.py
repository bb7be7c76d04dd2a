"""Metrics against libvmaf, scikit-image and golden numbers; ffmpeg, its stream, its cache."""

import concurrent.futures
import dataclasses
import functools
import io
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import types
from collections.abc import Callable

import imageio_ffmpeg
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage
from scipy import signal as filters
from skimage.metrics import structural_similarity

from lossylab.core import ffmpeg
from lossylab.core.errors import FFmpegError
from lossylab.data.color import luma
from lossylab.eval.metrics import api, psnr, ssim, vmaf, vmaf_stream
from lossylab.eval.metrics.vmaf_stream import VmafStream
from lossylab.losses.proxiqa import ms_ssim_training_score

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "classical_kodim01.json"
SMALL_METRICS = tuple(name for name in vmaf.METRICS if name != "ms_ssim")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric and what must be true of it."""

    score: Callable
    ideal: float  # of equal images
    tolerance: float
    lowest: float
    highest: float
    smallest: int | None = None  # pixels
    too_small: str = ""
    rounding: float = 1e-6  # relative, of float32 sums, whose order may depend on the batch


def _measured(name, ideal, tolerance, lowest, highest, smallest=32):
    """A metric of libvmaf: exact, whatever else is in the batch."""
    text = f"^{name} by libvmaf needs at least {smallest}x{smallest} pixels, got "
    return Metric(
        lambda reference, distorted: vmaf.measure(reference, distorted, (name,))[name],
        ideal,
        tolerance,
        lowest,
        highest,
        smallest,
        text + f"{smallest + 9}x{smallest - 1}$",
        rounding=0,
    )


def _computed(score, ideal, tolerance, lowest, highest, smallest, name):
    """A metric of TensorFlow's."""
    text = f"^{name} needs images of at least {smallest}x{smallest} pixels, got "
    text += f"{smallest + 9}x{smallest - 1}$"
    return Metric(score, ideal, tolerance, lowest, highest, smallest, text)


METRICS = {
    "psnr_rgb": Metric(api.psnr, np.inf, 0, 0, np.inf),
    "psnr_ycbcr": Metric(psnr.psnr_ycbcr, np.inf, 0, 0, np.inf),
    "ssim": _computed(ssim.ssim, 1, 1e-6, -1, 1, 11, "SSIM with a window of 11 pixels"),
    "ms_ssim": _computed(
        ssim.ms_ssim, 1, 1e-6, 0, 1, 161, "MS-SSIM with five scales and a window of 11 pixels"
    ),
    "libvmaf_vmaf": _measured("vmaf", 97.43, 0.01, 0, 100),
    "libvmaf_vmaf_neg": _measured("vmaf_neg", 97.43, 0.01, 0, 100),
    "libvmaf_ssim": _measured("ssim", 1, 0, -1, 1),
    "libvmaf_ms_ssim": _measured("ms_ssim", 1, 0, 0, 1, smallest=176),
    "libvmaf_vif": _measured("vif", 1, 0, 0, 1),
    "libvmaf_vif_scale0": _measured("vif_scale0", 1, 0, 0, 1),
    "libvmaf_psnr": _measured("psnr", 60, 0, 0, 60),
}
SIZED = {name: metric for name, metric in METRICS.items() if metric.smallest}
EVERY_METRIC = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def _distort(reference, deviation, random):
    noise = random.normal(size=reference.shape) * deviation
    return np.clip(np.round(reference + noise), 0, 255).astype(np.uint8)


def _pairs(random, count, height, width):
    """Smooth color images and noisy copies, each of another severity."""
    fields = ndimage.gaussian_filter(random.normal(size=(count, height, width, 3)), (0, 4, 4, 0))
    reference = np.clip(128 + 400 * fields, 0, 255).astype(np.uint8)
    deviations = np.linspace(3, 25, count).reshape(-1, 1, 1, 1)
    return reference, _distort(reference, deviations, random)


@pytest.fixture(scope="module")
def batch():
    """Three pairs [3, 180, 190, 3], large enough for every metric."""
    return _pairs(np.random.default_rng(3), 3, 180, 190)


# What is true of every metric.


@EVERY_METRIC
def test_equal_images_have_the_ideal_score(metric, batch):
    scores = np.asarray(metric.score(batch[0], batch[0]))
    assert scores.shape == (3,)
    np.testing.assert_allclose(scores, metric.ideal, rtol=0, atol=metric.tolerance)


@EVERY_METRIC
def test_black_images_give_numbers(metric, batch):
    black = np.zeros_like(batch[0])
    np.testing.assert_allclose(metric.score(black, black), metric.ideal, atol=0.01)
    for pair in ((black, batch[0]), (batch[0], black)):
        scores = np.asarray(metric.score(*pair))
        assert np.isfinite(scores).all()
        assert (metric.lowest <= scores).all()
        assert (scores <= metric.highest).all()


@EVERY_METRIC
def test_scores_stay_in_range_and_fall_with_more_noise(metric, batch, random):
    reference = batch[0]
    scores = [
        np.asarray(metric.score(reference, _distort(reference, deviation, random)))
        for deviation in (2, 8, 30, 120)
    ]
    assert (np.diff(scores, axis=0) < 0).all()
    assert np.min(scores) >= metric.lowest
    assert np.max(scores) <= metric.highest


@EVERY_METRIC
def test_batch_equals_single_pairs(metric, batch):
    together = np.asarray(metric.score(*batch))
    assert len(set(together.tolist())) == 3
    for index in range(3):
        single = np.asarray(metric.score(*(part[index : index + 1] for part in batch)))
        np.testing.assert_allclose(single, together[index : index + 1], rtol=metric.rounding)


@pytest.mark.parametrize("metric", SIZED.values(), ids=SIZED)
def test_too_small_images_are_refused_and_the_smallest_are_not(metric, random):
    size = metric.smallest
    reference, distorted = _pairs(random, 1, size, size)
    assert np.isfinite(metric.score(reference, distorted)).all()
    reference, distorted = _pairs(random, 1, size - 1, size + 9)
    with pytest.raises(ValueError, match=metric.too_small):
        metric.score(reference, distorted)


@EVERY_METRIC
def test_images_of_other_sizes_do_not_go_together(metric, batch):
    reference, distorted = batch
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        metric.score(reference, distorted[:, :-1])


NUMPY_METRICS = pytest.mark.parametrize("score", [api.psnr, psnr.psnr_ycbcr, ssim.ssim])


@NUMPY_METRICS
def test_batches_of_other_lengths_do_not_go_together(score, batch):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        score(batch[0], batch[1][:1])


def test_gray_and_color_do_not_go_together(batch):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        psnr.psnr_ycbcr(batch[0], batch[1][..., :1])


@pytest.mark.parametrize("score", [api.psnr, psnr.psnr_ycbcr, ssim.ssim, ssim.ms_ssim])
def test_8_bit_and_float_levels_give_the_same(score, batch):
    levels = [tf.constant(part, tf.float32) for part in batch]
    np.testing.assert_array_equal(score(*batch), score(*levels))


@pytest.mark.parametrize("score", [api.psnr, psnr.psnr_ycbcr, ssim.ssim, ssim.ms_ssim])
def test_exchanging_the_images_changes_nothing(score, batch):
    np.testing.assert_allclose(score(*batch), score(*batch[::-1]), rtol=1e-6)


# Against other implementations.


def test_psnr_rgb_equals_its_formula(batch):
    error = (batch[0].astype(np.float64) - batch[1]) ** 2
    expected = 10 * np.log10(255**2 / error.mean((1, 2, 3)))
    np.testing.assert_allclose(api.psnr(*batch), expected, atol=1e-4)


@pytest.mark.parametrize("step", [1, 5, 255])
def test_psnr_rgb_of_a_constant_step(step):
    low = np.zeros((1, 8, 8, 3), np.uint8)
    expected = 20 * np.log10(255 / step)
    np.testing.assert_allclose(api.psnr(low, low + step), [expected], atol=1e-4)


def test_psnr_ycbcr_weighs_the_planes_by_four_one_one(batch):
    rows = [(65.481, 128.553, 24.966), (-37.797, -74.203, 112), (112, -93.786, -18.214)]
    offsets = np.array([16, 128, 128])
    a, b = (np.round(part.astype(np.float64) @ np.array(rows).T / 255 + offsets) for part in batch)
    planes = 10 * np.log10(255**2 / ((a - b) ** 2).mean((1, 2)))
    expected = (4 * planes[:, 0] + planes[:, 1] + planes[:, 2]) / 6
    np.testing.assert_allclose(psnr.psnr_ycbcr(*batch), expected, atol=1e-3)


def test_psnr_ycbcr_equals_libvmaf(batch):
    # ffmpeg's integer conversion differs by one level in a few samples of a thousand.
    expected = vmaf.measure(*batch, ("psnr",))["psnr"]
    assert expected.max() < 55  # libvmaf's cap of 60 plays no part
    np.testing.assert_allclose(psnr.psnr_ycbcr(*batch), expected, atol=0.03)


def test_psnr_ycbcr_of_large_images_is_exact():
    """Millions of squares: a sum in float32 loses some hundredths of a decibel."""
    reference = np.zeros((1, 2048, 1024, 3), np.uint8)
    distorted = np.broadcast_to(np.array((30, 10, 50), np.uint8), reference.shape)
    small = psnr.psnr_ycbcr(reference[:, :8, :8], distorted[:, :8, :8])
    np.testing.assert_allclose(psnr.psnr_ycbcr(reference, distorted), small, rtol=1e-12)


def test_psnr_of_gray_pairs_is_that_of_luma(batch):
    """Cb and Cr of gray images are equal: as 60 dB each they would hide luma's error."""
    reference, distorted = (np.repeat(part[..., :1], 3, -1) for part in batch)
    luma = [
        np.round(16 + 219 / 255 * part[..., 0].astype(float)) for part in (reference, distorted)
    ]
    expected = 10 * np.log10(255**2 / np.mean((luma[0] - luma[1]) ** 2, (1, 2)))
    np.testing.assert_allclose(psnr.psnr_ycbcr(reference, distorted), expected, atol=1e-9)
    scores = vmaf.measure(reference, distorted, ("psnr",))["psnr"]
    np.testing.assert_allclose(scores, expected, atol=0.03)
    # A color cast on a gray image is an error of its colors, which count.
    cast = batch[1]
    scores = vmaf.measure(reference, cast, ("psnr",))["psnr"]
    np.testing.assert_allclose(psnr.psnr_ycbcr(reference, cast), scores, atol=0.03)
    mixed = [
        np.concatenate(pair) for pair in ((reference[:1], batch[0][:1]), (distorted[:1], cast[:1]))
    ]
    both = [psnr.psnr_ycbcr(*mixed), vmaf.measure(*mixed, ("psnr",))["psnr"]]
    np.testing.assert_allclose(both[0], both[1], atol=0.03)


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (64, 65), (97, 80)])
def test_ssim_equals_scikit_image(size, random):
    reference, distorted = _pairs(random, 4, *size)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        structural_similarity(a, b, data_range=255, channel_axis=-1, **options)
        for a, b in zip(reference, distorted)
    ]
    np.testing.assert_allclose(ssim.ssim(reference, distorted), expected, atol=1e-12)


def _ms_ssim_by_definition(a, b, taps):
    """MS-SSIM (Wang et al. 2003) of two planes, 2x2 means between the scales, in float64."""
    line = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    mean = functools.partial(filters.convolve2d, in2=window, mode="valid")
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            a, b = (np.pad(x, [(0, n % 2) for n in x.shape], "symmetric") for x in (a, b))
            a, b = ((x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4 for x in (a, b))
        ma, mb = mean(a), mean(b)
        va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
        value = (2 * cov + c2) / (va + vb + c2)
        if scale == 4:
            value = value * (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
        score *= max(value.mean(), 0) ** weight
    return score


@pytest.mark.parametrize("size", [(161, 161), (163, 190)])
def test_ms_ssim_equals_its_definition(size, random):
    reference, distorted = _pairs(random, 2, *size)
    expected = [
        np.mean([_ms_ssim_by_definition(a[..., c], b[..., c], 11) for c in range(3)])
        for a, b in zip(reference.astype(np.float64), distorted.astype(np.float64))
    ]
    np.testing.assert_allclose(ssim.ms_ssim(reference, distorted), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(97, 97), (128, 128)])
def test_ms_ssim_for_training_equals_its_definition_on_luma(size, random):
    reference, distorted = _pairs(random, 2, *size)
    expected = [
        100 * _ms_ssim_by_definition(a, b, 7)
        for a, b in zip(
            *(luma(x).numpy()[..., 0].astype(np.float64) for x in (reference, distorted))
        )
    ]
    np.testing.assert_allclose(ms_ssim_training_score(reference, distorted), expected, atol=1e-3)


@pytest.fixture(scope="module")
def kodim01(collection):
    """The first Kodak image."""
    with Image.open(collection("kodak")[0]) as image:
        return image.convert("RGB")


@pytest.mark.parametrize(
    "row", json.loads(GOLDEN.read_text())["JPEG"], ids=lambda row: row["param"]
)
def test_scores_of_a_jpeg_equal_golden_ones(row, kodim01):
    file = io.BytesIO()
    kodim01.save(file, "JPEG", quality=row["param"], subsampling=0)
    assert len(file.getvalue()) == row["bytes"], (
        "this version of libjpeg-turbo writes other bytes than 3.1.4.1, with which the golden "
        "scores were measured: they cannot be compared"
    )
    with Image.open(file) as decoded:
        pair = np.array(kodim01)[None], np.array(decoded)[None]
    scores = vmaf.measure(*pair, vmaf.METRICS)
    # The same libvmaf gives all six digits; the model in float, for one, is 0.012 away.
    assert scores["vmaf"][0] == pytest.approx(row["vmaf"], abs=5e-3)
    for name in ("ssim", "ms_ssim", "vif", "vif_scale0"):
        assert scores[name][0] == pytest.approx(row[name], abs=1e-5), name
    assert scores["psnr"][0] == pytest.approx(row["psnr_avg"], abs=2e-3)
    assert float(psnr.psnr_ycbcr(*pair)[0]) == pytest.approx(row["psnr_avg"], abs=0.03)
    assert float(api.psnr(*pair)[0]) == pytest.approx(row["psnr_rgb"], abs=1e-4)


# vmaf.measure


def test_metrics_measured_together_equal_those_measured_alone(batch):
    together = vmaf.measure(*batch, vmaf.METRICS)
    assert tuple(together) == vmaf.METRICS
    for name, scores in together.items():
        assert scores.dtype == np.float64
        np.testing.assert_array_equal(scores, vmaf.measure(*batch, (name,))[name])


def test_vmaf_alone_is_measured_by_default(batch):
    assert list(vmaf.measure(*batch)) == ["vmaf"]


@pytest.mark.parametrize("name", ["vmaf", "vif", "vif_scale0"])
def test_reference_comes_first(name, batch):
    # These are not symmetric: a blurred copy has lost something, a sharper one has not.
    blurred = ndimage.gaussian_filter(batch[0], (0, 3, 3, 0))
    there = vmaf.measure(batch[0], blurred, (name,))[name]
    back = vmaf.measure(blurred, batch[0], (name,))[name]
    assert (there < 0.8 * back).all()


def test_vmaf_neg_rewards_no_enhancement(batch):
    soft = ndimage.gaussian_filter(batch[0].astype(float), (0, 1, 1, 0))
    sharper = np.clip(batch[0] + 0.5 * (batch[0] - soft), 0, 255).astype(np.uint8)
    blurred = soft.astype(np.uint8)
    names = ("vmaf", "vmaf_neg")
    above, below = (vmaf.measure(batch[0], each, names) for each in (sharper, blurred))
    assert (above["vmaf"] > above["vmaf_neg"] + 1).all()
    np.testing.assert_allclose(below["vmaf"], below["vmaf_neg"], atol=1)
    for found, each in ((above, sharper), (below, blurred)):
        np.testing.assert_array_equal(found["vmaf"], vmaf.measure(batch[0], each)["vmaf"])


def test_images_need_not_lie_in_one_piece_of_memory(batch):
    views = [np.asfortranarray(part)[:, 20:120:1, ::-1] for part in batch]
    copies = [np.ascontiguousarray(view) for view in views]
    np.testing.assert_array_equal(vmaf.measure(*views)["vmaf"], vmaf.measure(*copies)["vmaf"])


@pytest.mark.parametrize(
    ("shape", "dtype", "got"),
    [
        ((64, 64, 3), np.uint8, r"uint8 \[64, 64, 3\]"),
        ((1, 64, 64, 1), np.uint8, r"uint8 \[1, 64, 64, 1\]"),
        ((1, 64, 64, 4), np.uint8, r"uint8 \[1, 64, 64, 4\]"),
        ((1, 64, 64, 3), np.float32, r"float32 \[1, 64, 64, 3\]"),
        ((1, 64, 64, 3), np.int64, r"int64 \[1, 64, 64, 3\]"),
    ],
)
def test_what_is_no_8_bit_batch_is_refused(shape, dtype, got):
    good, bad = np.zeros((1, 64, 64, 3), np.uint8), np.zeros(shape, dtype)
    with pytest.raises(ValueError, match=rf"^reference must be uint8 \[B, H, W, 3\], got {got}$"):
        vmaf.measure(bad, good)
    with pytest.raises(ValueError, match=rf"^distorted must be uint8 \[B, H, W, 3\], got {got}$"):
        vmaf.measure(good, bad)


def test_pairs_of_unlike_shapes_are_refused(batch):
    text = r"^the pair must have one shape, got \[3, 180, 190, 3\] and \[2, 180, 190, 3\]$"
    with pytest.raises(ValueError, match=text):
        vmaf.measure(batch[0], batch[1][:2])


def test_unknown_metric_is_refused(batch):
    text = "^unknown metric 'vmaff', expected one of vmaf, vmaf_neg, ssim, ms_ssim, vif, "
    text += "vif_scale0, psnr$"
    with pytest.raises(ValueError, match=text):
        vmaf.measure(*batch, ("vmaf", "vmaff"))


# The program: $LOSSYLAB_FFMPEG


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a shell script the ffmpeg of this test and returns its path."""

    def make(text, mode=0o755):
        path = tmp_path / "some-ffmpeg"
        path.write_text(text)
        path.chmod(mode)
        monkeypatch.setenv("LOSSYLAB_FFMPEG", str(path))
        return str(path)

    return make


@pytest.fixture
def pair():
    """One pair [1, 32, 32, 3]."""
    return _pairs(np.random.default_rng(4), 1, 32, 32)


def test_bundled_program_is_used_and_has_a_version(monkeypatch):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "")
    assert ffmpeg.executable() == imageio_ffmpeg.get_ffmpeg_exe()
    said = subprocess.run([ffmpeg.executable(), "-version"], capture_output=True, text=True).stdout
    assert said.startswith(f"ffmpeg version {ffmpeg.version(ffmpeg.executable())} ")


def test_missing_bundled_program_says_what_to_do(monkeypatch, pair):
    def missing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    ffmpeg._bundled.cache_clear()
    text = (
        "^no ffmpeg: reinstall the package imageio-ffmpeg, or point the environment variable "
        "LOSSYLAB_FFMPEG to an ffmpeg built with libvmaf$"
    )
    with pytest.raises(FFmpegError, match=text):
        vmaf.measure(*pair)


@pytest.mark.parametrize("chosen", ["/nowhere/ffmpeg", "no-such-ffmpeg", "/"])
def test_program_that_is_not_there_is_refused(chosen, monkeypatch, pair):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", chosen)
    text = f"^LOSSYLAB_FFMPEG={chosen} is not an executable program; unset it or mend it$"
    with pytest.raises(FFmpegError, match=text):
        vmaf.measure(*pair)


def test_program_that_is_not_executable_is_refused(program, pair):
    path = program("#!/bin/sh\n", mode=0o644)
    with pytest.raises(FFmpegError, match=f"^LOSSYLAB_FFMPEG={path} is not an executable program"):
        vmaf.measure(*pair)


def test_program_may_be_named_without_its_folder(program, monkeypatch):
    path = pathlib.Path(program("#!/bin/sh\necho ffmpeg version 9.8-mine and more\n"))
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    monkeypatch.setenv("LOSSYLAB_FFMPEG", path.name)
    assert ffmpeg.executable() == str(path)
    assert ffmpeg.version(ffmpeg.executable()) == "9.8-mine"


def test_failing_program_is_quoted(program, pair):
    path = program("#!/bin/sh\necho 'it hurts' >&2\nexit 3\n")
    with pytest.raises(FFmpegError, match=f"^{path} failed with status 3: it hurts$"):
        vmaf.measure(*pair)
    with pytest.raises(FFmpegError, match=f"^{path} failed with status 3: it hurts$"):
        ffmpeg.version(path)


def test_only_the_end_of_a_long_complaint_is_quoted(program, pair):
    path = program("#!/bin/sh\nprintf '%2000s' first last >&2\nexit 3\n")
    with pytest.raises(FFmpegError, match=f"^{path} failed with status 3:  {{496}}last$"):
        vmaf.measure(*pair)


def test_program_that_cannot_be_started_is_named(program, pair):
    path = program("#!/nowhere/sh\n")
    with pytest.raises(FFmpegError, match=f"^cannot start {path}: No such file or directory$"):
        vmaf.measure(*pair)


def test_rubbish_of_a_program_is_quoted(program, pair):
    path = program("#!/bin/sh\necho rubbish\n")
    with pytest.raises(FFmpegError, match=r"^libvmaf's log is not readable: b'rubbish\\n'$"):
        vmaf.measure(*pair)
    assert ffmpeg.version(path) == "rubbish"


@pytest.mark.parametrize("count", [0, 2])
def test_scores_for_another_number_of_images_are_refused(count, program, pair):
    log = json.dumps({"frames": [{"metrics": {"vmaf": 50.0}}] * count})
    program(f"#!/bin/sh\necho '{log}'\n")
    with pytest.raises(FFmpegError, match=f"^libvmaf scored {count} images of 1$"):
        vmaf.measure(*pair)


def test_an_image_and_its_negative_have_a_score(random):
    """libvmaf writes null for MS-SSIM, whose negative factors have no roots."""
    reference, _ = _pairs(random, 1, 192, 192)
    for metric, lowest, highest in (("ms_ssim", 0, 0), ("ssim", -1, 0.2), ("vmaf", 0, 100)):
        (score,) = vmaf.measure(reference, 255 - reference, (metric,))[metric]
        assert lowest <= score <= highest
    assert float(ssim.ms_ssim(reference, 255 - reference)[0]) == 0


@pytest.mark.parametrize(
    "log",
    [
        *("[]", '{"frames": null}', '{"frames": [{"metrics": {}}]}'),
        '{"frames": [{"metrics": {"vmaf": null}}]}',
    ],
)
def test_log_of_another_form_is_not_readable(log, program, pair):
    program(f"#!/bin/sh\necho '{log}'\n")
    with pytest.raises(FFmpegError, match="libvmaf"):
        vmaf.measure(*pair)


# The stream


@pytest.fixture(scope="module")
def stream():
    """One stream for several tests: none may disturb the next."""
    running = VmafStream()
    yield running
    running.close()


def _assert_equals_measure(stream, reference, distorted, metrics=("vmaf",)):
    expected = vmaf.measure(reference, distorted, metrics)
    scores = stream.measure(reference, distorted)
    assert list(scores) == list(metrics)
    for name in metrics:
        np.testing.assert_array_equal(scores[name], expected[name])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [(32, 32), (48, 48), (128, 128), (33, 47), (32, 48), (75, 101)])
def test_stream_equals_measure_exactly(count, size, stream, random):
    _assert_equals_measure(stream, *_pairs(random, count, *size))


def test_stream_may_change_the_size_at_any_time(stream, random):
    # 32x32 and 48x48 are the sizes of the stream's own small frames.
    sizes = [32, 32, 48, 32, 64, 48, 48, 64, 64, 32]
    for count, size in zip((2, 1, 3, 2, 1, 4, 1, 2, 3, 5), sizes):
        _assert_equals_measure(stream, *_pairs(random, count, size, size))


def test_stream_gives_all_metrics_for_many_images(random):
    running = VmafStream(SMALL_METRICS)
    try:
        for count in (70, 2):
            _assert_equals_measure(running, *_pairs(random, count, 32, 40), SMALL_METRICS)
    finally:
        running.close()


def test_stream_is_safe_to_share_by_threads(random, monkeypatch):
    monkeypatch.setattr(vmaf_stream, "_SECONDS", 5.0)  # threads in each other's way would wait
    running = VmafStream()
    pairs = [_pairs(random, 1 + index % 3, 32 + index % 5, 40) for index in range(24)]
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            scores = list(threads.map(lambda pair: running.measure(*pair)["vmaf"], pairs))
    finally:
        running.close()
    for pair, score in zip(pairs, scores):
        np.testing.assert_array_equal(score, vmaf.measure(*pair)["vmaf"])


def test_stream_refuses_bad_pairs_and_goes_on(stream, pair):
    with pytest.raises(ValueError, match="^the pair must have one shape"):
        stream.measure(pair[0], np.concatenate([pair[1]] * 2))
    with pytest.raises(
        ValueError, match="^vmaf by libvmaf needs at least 32x32 pixels, got 32x31$"
    ):
        stream.measure(*(part[:, :31] for part in pair))
    _assert_equals_measure(stream, *pair)


def test_killed_stream_says_so(pair):
    running = VmafStream()
    try:
        running._process.kill()
        running._process.wait()
        for _ in range(2):
            with pytest.raises(FFmpegError, match="^ffmpeg stopped scoring: "):
                running.measure(*pair)
    finally:
        running.close()


def test_stream_killed_while_it_works_says_so(pair, random):
    running = VmafStream()
    large = _pairs(random, 4, 128, 128)  # more than fits into the pipe
    try:
        running._process.send_signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            future = threads.submit(running.measure, *large)
            running._process.kill()
            with pytest.raises(FFmpegError, match="^ffmpeg stopped scoring: "):
                future.result()
    finally:
        running.close()


def test_closing_ends_ffmpeg_and_may_be_repeated():
    running = VmafStream()
    running.close()
    running.close()
    assert running._process.returncode is not None


def test_closed_stream_says_so(pair):
    running = VmafStream()
    running.close()
    with pytest.raises(FFmpegError, match="closed"):
        running.measure(*pair)


def test_stream_that_gave_no_answer_never_gives_a_wrong_one(pair, random, monkeypatch):
    running = VmafStream()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(vmaf_stream, "_SECONDS", 0.05)
            running._process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, running._process.pid, os.WSTOPPED)
            with pytest.raises(FFmpegError, match="it gave no answer"):
                running.measure(*pair)
            running._process.send_signal(signal.SIGCONT)
        other = _pairs(random, 1, 32, 32)
        try:
            scores = running.measure(*other)
        except FFmpegError:
            return
        np.testing.assert_array_equal(scores["vmaf"], vmaf.measure(*other)["vmaf"])
    finally:
        running.close()


@pytest.mark.parametrize("size", [32, 64])
def test_stream_refuses_an_empty_batch_at_once(size, monkeypatch):
    monkeypatch.setattr(vmaf_stream, "_SECONDS", 1.0)
    running = VmafStream()
    empty = np.zeros((0, size, size, 3), np.uint8)
    try:
        with pytest.raises((ValueError, FFmpegError)) as caught:
            running.measure(empty, empty)
        assert "no answer" not in str(caught.value)
    finally:
        running.close()


@pytest.fixture
def opened(monkeypatch):
    """Processes and files that streams have opened in this test; ends them afterwards."""
    processes, files = [], []

    def start(*args, **kwargs):
        processes.append(subprocess.Popen(*args, **kwargs))
        return processes[-1]

    def open_file():
        files.append(tempfile.TemporaryFile())  # noqa: SIM115 - closed below
        return files[-1]

    fake = types.SimpleNamespace(Popen=start, PIPE=subprocess.PIPE)
    monkeypatch.setattr(vmaf_stream, "subprocess", fake)
    monkeypatch.setattr(vmaf_stream, "tempfile", types.SimpleNamespace(TemporaryFile=open_file))
    yield types.SimpleNamespace(processes=processes, files=files)
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    for file in files:
        file.close()


def test_stream_of_a_missing_program_is_refused(opened, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(FFmpegError, match="^LOSSYLAB_FFMPEG=/nowhere/ffmpeg is not an executable"):
        VmafStream()


def test_stream_of_a_failing_program_quotes_it(opened, program):
    program("#!/bin/sh\necho 'it hurts' >&2\nexit 3\n")
    with pytest.raises(FFmpegError, match="^ffmpeg stopped scoring: it hurts$"):
        VmafStream()


@pytest.mark.parametrize("said", ["rubbish", r"{\n}\n"])
def test_stream_of_a_program_that_prints_rubbish_is_refused(said, opened, program):
    program(f"#!/bin/sh\nprintf '{said}'\ncat > /dev/null &\nsleep 0.2\nkill $!\n")
    with pytest.raises(FFmpegError, match="^ffmpeg stopped scoring: "):
        VmafStream()


def test_stream_of_a_silent_program_is_refused(opened, program, monkeypatch):
    monkeypatch.setattr(vmaf_stream, "_SECONDS", 0.2)
    program("#!/bin/sh\ncat > /dev/null\n:\n")
    with pytest.raises(FFmpegError, match="^ffmpeg stopped scoring: it gave no answer$"):
        VmafStream()


def test_stream_of_a_program_that_cannot_be_started_is_refused(opened, program):
    path = program("#!/nowhere/sh\n")
    with pytest.raises(FFmpegError, match=path):
        VmafStream()


def test_stream_that_cannot_be_started_leaves_nothing_open(opened, program, monkeypatch):
    monkeypatch.setattr(vmaf_stream, "_SECONDS", 0.2)
    program("#!/bin/sh\ncat > /dev/null\n:\n")
    with pytest.raises(FFmpegError, match="it gave no answer"):
        VmafStream()
    assert all(process.poll() is not None for process in opened.processes)
    assert all(file.closed for file in opened.files)


def test_stream_refuses_unknown_metrics(opened):
    with pytest.raises(ValueError, match="^unknown metric 'vmaff', expected one of vmaf"):
        VmafStream(("vmaff",))


def test_stream_gives_ms_ssim(opened, monkeypatch, batch):
    monkeypatch.setattr(vmaf_stream, "_SECONDS", 2.0)
    _assert_equals_measure(VmafStream(("ms_ssim",)), *batch, ("ms_ssim",))


# The cache
