"""ProxIQA's losses against hand-computed values; color conversion; synthetic distortions."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage
from skimage.metrics import structural_similarity

from lossylab.core import ffmpeg
from lossylab.data.color import luma, ycbcr
from lossylab.data.proxy_distortions import BLUR_LEVELS, JPEG_LEVELS, NOISE_LEVELS, distort
from lossylab.eval.metrics import vmaf
from lossylab.losses import proxiqa as losses


def _smooth(random, count, height, width):
    """Smooth color images well inside the range, rounded."""
    fields = ndimage.gaussian_filter(random.normal(size=(count, height, width, 3)), (0, 3, 3, 0))
    return np.round(np.clip(128 + 300 * fields, 40, 215)).astype(np.float32)


@pytest.fixture
def noisy(random):
    """A pair [3, 100, 104, 3] of images and noisy copies, unrounded."""
    image = _smooth(random, 3, 100, 104)
    noise = random.normal(size=image.shape) * np.reshape([2, 10, 40], (3, 1, 1, 1))
    return tf.constant(image), tf.constant(image + noise, tf.float32)


def _gradient(loss, image, reconstruction):
    with tf.GradientTape() as tape:
        tape.watch(reconstruction)
        value = loss(image, reconstruction)
    return value.numpy(), tape.gradient(value, reconstruction).numpy()


# Eq. 6-14


def test_rate_is_in_bits_per_pixel():
    bits = tf.constant([0.0, 8192.0, 16384.0])
    np.testing.assert_array_equal(losses.rate_loss(bits, 128 * 64), [0, 1, 2])


def test_pixel_loss_is_the_mean_error_in_levels():
    image = np.zeros((2, 2, 2, 3), np.float32)
    reconstruction = image.copy()
    reconstruction[0, 0, 0] = 6, -12, 0  # unclipped
    reconstruction[1] = 3
    np.testing.assert_allclose(losses.pixel_loss(image, reconstruction), [180 / 12, 9])
    np.testing.assert_allclose(losses.pixel_loss(image, reconstruction, "l2"), [180 / 12, 9])
    np.testing.assert_allclose(losses.pixel_loss(image, reconstruction, "l1"), [18 / 12, 3])


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_pixel_loss_equals_numpy(norm, noisy):
    error = noisy[0].numpy().astype(np.float64) - noisy[1].numpy()
    expected = (error**2 if norm == "l2" else np.abs(error)).mean((1, 2, 3))
    np.testing.assert_allclose(losses.pixel_loss(*noisy, norm), expected, rtol=1e-5)


@pytest.mark.parametrize("norm", ["L2", "mse", ""])
def test_unknown_norm_is_refused(norm, noisy):
    with pytest.raises(ValueError, match=f"^norm must be 'l1' or 'l2', got '{norm}'$"):
        losses.pixel_loss(*noisy, norm)


def test_proxy_loss_is_the_distance_to_one_hundred():
    scores = tf.constant([100.0, 97.5, 0.0, -3.0, 104.0])
    np.testing.assert_array_equal(losses.proxy_loss(scores), [0, 2.5, 100, 103, -4])


def test_metric_loss_is_the_squared_error_of_the_scores():
    proxy, true = tf.constant([50.0, 93.0, 10.0]), tf.constant([50.0, 90.0, 14.0])
    np.testing.assert_array_equal(losses.metric_loss(proxy, true), [0, 9, 16])


def test_rate_distortion_loss_weighs_the_distortion():
    rate, pixel = tf.constant([0.5, 2.0]), tf.constant([100.0, 30.0])
    np.testing.assert_allclose(losses.rate_distortion_loss(rate, pixel, 0.01), [1.5, 2.3])


def test_total_loss_shares_lambda_by_alpha():
    rate, pixel, perceptual = (tf.constant(v) for v in ([0.5, 1.0], [100.0, 20.0], [10.0, 60.0]))
    np.testing.assert_allclose(
        losses.total_loss(rate, pixel, perceptual, 0.02, 0.25),
        [0.02 * (2.5 + 75) + 0.5, 0.02 * (15 + 15) + 1],
        rtol=1e-6,
    )


def test_total_loss_without_a_perceptual_share_is_the_rate_distortion_loss():
    rate, pixel, perceptual = (tf.constant(v) for v in ([0.5, 1.0], [100.0, 20.0], [10.0, 60.0]))
    np.testing.assert_allclose(
        losses.total_loss(rate, pixel, perceptual, 0.02, 0.0),
        losses.rate_distortion_loss(rate, pixel, 0.02),
    )
    np.testing.assert_allclose(
        losses.total_loss(rate, pixel, perceptual, 0.02, 1.0), [0.7, 2.2], rtol=1e-6
    )


@pytest.mark.parametrize(("offset", "sign"), [(-30.0, -1.0), (60.0, 1.0)])
def test_authors_proxy_loss_turns_where_the_mean_passes_one_hundred(offset, sign):
    scores = tf.constant([50.0, 93.0, 60.0]) + offset
    value, gradient = _gradient(
        lambda _, s: losses.proxy_loss(s, tf.reduce_mean(s)), scores, scores
    )
    assert np.mean(value) == pytest.approx(abs(100 - np.mean(scores)))
    np.testing.assert_array_equal(gradient, sign * np.ones(3))


def _ssim_of_luma(image, reconstruction):
    return losses.ssim_loss(image, reconstruction, "luma")


def _ms_ssim_of_luma(image, reconstruction):
    return losses.ms_ssim_loss(image, reconstruction, "luma")


_RGB, _LUMA = [losses.ssim_loss, losses.ms_ssim_loss], [_ssim_of_luma, _ms_ssim_of_luma]
STRUCTURAL = pytest.mark.parametrize("loss", [*_RGB, *_LUMA])


@STRUCTURAL
def test_equal_images_lose_nothing(loss, noisy):
    np.testing.assert_allclose(loss(noisy[0], noisy[0]), 0, atol=1e-4)


@STRUCTURAL
def test_more_noise_loses_more_out_of_one_hundred(loss, noisy):
    values = loss(*noisy).numpy()
    assert values.shape == (3,)
    assert 0.05 < values[0] < values[1] < values[2] < 100


@STRUCTURAL
def test_loss_of_a_sample_does_not_depend_on_the_others(loss, noisy):
    single = [loss(*(part[n : n + 1] for part in noisy))[0] for n in range(3)]
    np.testing.assert_allclose(loss(*noisy), single, rtol=1e-5)


_OF_LUMA = np.array([65.481, 128.553, 24.966])  # weights of R, G and B


@pytest.mark.parametrize("loss", _LUMA)
def test_change_of_chroma_that_keeps_luma_loses_nothing(loss, noisy, random):
    image, weights = noisy[0], _OF_LUMA
    chroma = random.normal(size=image.shape) * 15
    chroma -= (chroma @ weights)[..., None] * weights / (weights @ weights)
    changed = tf.constant(image + chroma, tf.float32)
    np.testing.assert_allclose(luma(changed), luma(image), atol=1e-3)
    np.testing.assert_allclose(loss(image, changed), 0, atol=0.01)
    for of_rgb in _RGB:
        assert (of_rgb(image, changed).numpy() > 2).all()


@pytest.mark.parametrize("loss", [*_RGB, *_LUMA])
def test_chroma_learns_from_losses_of_rgb_alone(loss, noisy):
    _, gradient = _gradient(loss, *noisy)
    along = (gradient @ _OF_LUMA)[..., None] * _OF_LUMA / (_OF_LUMA @ _OF_LUMA)
    chroma = np.linalg.norm(gradient - along) / np.linalg.norm(gradient)
    assert chroma > 0.1 if loss in _RGB else chroma < 1e-3


@pytest.mark.parametrize("channels", ["rgb", "luma"])
def test_ssim_loss_equals_scikit_image(channels, noisy):
    planes = [(luma(part) if channels == "luma" else part).numpy() for part in noisy]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options |= {"data_range": 255, "channel_axis": 2}
    expected = [
        100 - 100 * structural_similarity(a.astype(np.float64), b.astype(np.float64), **options)
        for a, b in zip(*planes)
    ]
    np.testing.assert_allclose(losses.ssim_loss(*noisy, channels), expected, atol=2e-3)


def test_ssim_of_means_is_what_libvmaf_measures_of_large_images(random):
    """Its own scale of 512 pixels is 2, that of 256 is 1; checks tell one phase from another."""
    image = ndimage.gaussian_filter(random.normal(0, 1, (1, 512, 512, 3)), (0, 2, 2, 0))
    image = (128 + 400 * image).clip(0, 255).astype(np.uint8)
    checks = 30 * ((np.indices((512, 512)) // 2).sum(0) % 2)[None, :, :, None]
    worse = (image + random.uniform(-20, 20, image.shape) + checks).clip(0, 255).astype(np.uint8)
    pair = [tf.constant(part, tf.float32) for part in (image, worse)]
    whole = vmaf.measure(image, worse, ("ssim",))["ssim"]

    def of_means(*parts):
        means = (tf.cast(tf.round(part), tf.uint8).numpy() for part in parts)
        return vmaf.measure(*means, ("ssim",))["ssim"]

    means = [losses.coarser(part, 2) for part in pair]
    assert means[0].shape == (1, 256, 256, 3)
    assert of_means(*means) == pytest.approx(whole, abs=2e-3)
    other_phase = [tf.nn.avg_pool2d(part, 2, 2, "VALID") for part in pair]
    assert abs(of_means(*other_phase) - whole) > 0.02
    fine = 1 - losses.ssim_loss(*pair, "luma").numpy() / 100
    assert abs(fine - whole) > 0.05
    assert losses.coarser(pair[0], 1) is pair[0]


def test_ms_ssim_loss_is_what_its_score_lacks(noisy):
    score = losses.ms_ssim_training_score(*noisy)
    np.testing.assert_allclose(losses.ms_ssim_loss(*noisy, "luma"), 100 - score, rtol=1e-6)


def test_ms_ssim_needs_97_pixels(noisy):
    fitting, small = ([part[:, :97, :n] for part in noisy] for n in (97, 96))
    assert np.isfinite(losses.ms_ssim_loss(*fitting)).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected .* to be true"):
        losses.ms_ssim_loss(*small)


def _damaged(image, kind):
    """Reconstructions as a codec may give them, from perfect to absurd."""
    if kind == "equal":
        return image
    if kind == "noise":
        return image + tf.random.stateless_normal(image.shape, (1, 2)) * 30
    if kind == "flat":
        return tf.fill(image.shape, 128.0)
    if kind == "black":
        return tf.zeros_like(image)
    if kind == "beyond the range":
        return image * 3 - 200
    return 255 - image


KINDS = ["equal", "noise", "flat", "black", "beyond the range", "inverted"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_gradients_of_the_pixel_loss_are_finite(norm, kind, noisy):
    image = noisy[0]
    value, gradient = _gradient(
        lambda a, b: losses.pixel_loss(a, b, norm), image, _damaged(image, kind)
    )
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    assert gradient.any() == (kind != "equal")


@pytest.mark.parametrize(
    ("loss", "kind"),
    [(loss, kind) for loss in (*_RGB, *_LUMA) for kind in KINDS],
)
def test_gradients_of_structural_losses_are_finite(loss, kind, noisy):
    image = noisy[0]
    value, gradient = _gradient(loss, image, _damaged(image, kind))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@STRUCTURAL
def test_a_step_down_the_gradient_lowers_the_loss(loss, noisy):
    image, reconstruction = noisy
    value, gradient = _gradient(loss, image, reconstruction)
    moved = reconstruction - gradient * 2 / np.abs(gradient).max((1, 2, 3), keepdims=True)
    assert (loss(image, moved).numpy() < value).all()


# Color

KNOWN_COLORS = {
    "black": ((0, 0, 0), (16, 128, 128)),
    "white": ((255, 255, 255), (235, 128, 128)),
    "red": ((255, 0, 0), (81.481, 90.203, 240)),
    "green": ((0, 255, 0), (144.553, 53.797, 34.214)),
    "blue": ((0, 0, 255), (40.966, 240, 109.786)),
    "yellow": ((255, 255, 0), (210.034, 16, 146.214)),
    "cyan": ((0, 255, 255), (169.519, 165.797, 16)),
}


@pytest.mark.parametrize(("rgb", "expected"), KNOWN_COLORS.values(), ids=KNOWN_COLORS)
def test_known_colors(rgb, expected):
    np.testing.assert_allclose(ycbcr(tf.constant(rgb, tf.float32)), expected, atol=1e-3)
    np.testing.assert_allclose(luma(np.array(rgb, np.uint8)), expected[:1], atol=1e-3)


def test_grays_have_no_chroma():
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, -1)
    planes = ycbcr(gray).numpy()
    np.testing.assert_allclose(planes[:, 0], 16 + np.arange(256) * 219 / 255, atol=1e-4)
    np.testing.assert_allclose(planes[:, 1:], 128, atol=1e-4)


def test_color_keeps_the_shape_and_luma_is_its_first_plane(random):
    image = random.integers(0, 256, (2, 3, 5, 7, 3), dtype=np.uint8)
    assert ycbcr(image).shape == image.shape
    assert ycbcr(image).dtype == tf.float32
    np.testing.assert_array_equal(luma(image), ycbcr(image)[..., :1])


def test_color_equals_ffmpeg(images):
    image = images[0]
    height, width, _ = image.shape
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "pipe:0"]
    to_planes = ["-pix_fmt", "yuv444p", "-f", "rawvideo", "pipe:1"]
    planes = ffmpeg.run(["-v", "error", *source, *to_planes], stdin=image.tobytes())
    theirs = np.frombuffer(planes, np.uint8).reshape(3, height, width).transpose(1, 2, 0)
    difference = np.abs(np.round(ycbcr(image)) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01  # ffmpeg converts in integers


# Synthetic distortions

SEEDS = 240


@pytest.fixture(scope="module")
def source():
    """One smooth image [40, 48, 3] well inside the range, so that noise is not clipped much."""
    return _smooth(np.random.default_rng(5), 1, 40, 48)[0] * 0.2 + 100


@pytest.fixture(scope="module")
def distorted(source):
    """The image distorted with many seeds [SEEDS, 40, 48, 3]."""
    return _distort_with(source, [(7, number) for number in range(SEEDS)])


def _distort_with(source, seeds):
    images = tf.repeat(tf.constant(source, tf.float32)[None], len(seeds), 0)
    return distort(images, tf.constant(seeds, tf.int64)).numpy()


def _jpeg(image, quality, folder):
    Image.fromarray(np.round(image).astype(np.uint8)).save(
        folder / "a.jpg", quality=quality, subsampling="4:2:0"
    )
    with Image.open(folder / "a.jpg") as image:
        return np.array(image, np.float32)


def _kind_of(result, source, jpegs, blurs):
    """Which kind at which severity it is, by other implementations; exactly one must fit."""
    residual = result - source
    fitting = [
        ("noise", level)
        for level in NOISE_LEVELS
        if abs(residual.std() / level - 1) < 0.08
        and abs(np.corrcoef(residual[:-1].ravel(), residual[1:].ravel())[0, 1]) < 0.1
    ]
    fitting += [("blur", level) for level, b in blurs.items() if np.abs(result - b).max() <= 0.51]
    # TensorFlow decodes JPEG with a faster transform than Pillow: not equal, but nearest.
    errors = {level: np.abs(result - jpeg).mean() for level, jpeg in jpegs.items()}
    nearest = min(errors, key=errors.get)
    fitting += [("jpeg", nearest)] if errors[nearest] < 1.2 else []
    assert len(fitting) == 1, fitting
    return fitting[0]


def test_every_kind_occurs_at_every_severity_and_is_what_it_says(source, distorted, tmp_path):
    jpegs = {level: _jpeg(source, level, tmp_path) for level in JPEG_LEVELS}
    blurs = {
        level: ndimage.gaussian_filter(source, (level, level, 0), mode="mirror", radius=(12, 12, 0))
        for level in BLUR_LEVELS
    }
    kinds = [_kind_of(result, source, jpegs, blurs) for result in distorted]
    expected = [("noise", level) for level in NOISE_LEVELS]
    expected += [("blur", level) for level in BLUR_LEVELS]
    expected += [("jpeg", level) for level in JPEG_LEVELS]
    counts = {kind: kinds.count(kind) for kind in expected}
    assert sum(counts.values()) == SEEDS
    assert min(counts.values()) >= SEEDS / 15 / 3  # about equally often


def test_distorted_levels_are_whole_and_in_range(source, distorted):
    extreme = _distort_with((source > source.mean()) * 255.0, [(8, n) for n in range(30)])
    for results in (distorted, extreme):
        assert results.dtype == np.float32
        np.testing.assert_array_equal(results, np.round(results))
        assert results.min() >= 0
        assert results.max() <= 255
    assert distorted.shape == (SEEDS, 40, 48, 3)


def test_distortion_depends_on_the_seed_and_not_on_the_place(source, distorted):
    order = np.random.default_rng(6).permutation(SEEDS)[:20]
    again = _distort_with(source, [(7, number) for number in order])
    np.testing.assert_array_equal(again, distorted[order])
    np.testing.assert_array_equal(_distort_with(source, [(7, 3)]), distorted[3:4])


def test_every_image_is_distorted_and_noise_never_repeats(source, distorted):
    assert not any(np.array_equal(result, np.round(source)) for result in distorted)
    # Blur and JPEG have five results each, noise has one for each seed.
    different = np.unique(distorted.reshape(SEEDS, -1), axis=0)
    residual = (different - source.reshape(-1)).reshape(-1, 40, 48, 3)
    assert len(residual) > 10 + SEEDS / 5


def test_distortion_works_in_a_graph_with_known_shapes(source, distorted):
    @tf.function(input_signature=[tf.TensorSpec((2, 40, 48, 3)), tf.TensorSpec((2, 2), tf.int64)])
    def run(images, seeds):
        result = distort(images, seeds)
        assert result.shape == (2, 40, 48, 3)
        return result

    pair = tf.constant(np.stack([source, source]), tf.float32)
    np.testing.assert_array_equal(run(pair, [(7, 0), (7, 1)]), distorted[:2])
