"""eval.metrics.residuals: distortions in their own terms, on noise and blocks that are known."""

import numpy as np
import pytest

from lossylab.data.distortions import distort
from lossylab.eval.metrics import residuals


@pytest.fixture(scope="module")
def gray():
    """A middle gray to which noise can be added without clipping, [256, 256, 3]."""
    return np.full((256, 256, 3), 128.0)


def test_white_noise_is_flat(gray, random):
    large = np.tile(gray, (3, 3, 1))
    found = residuals.spectrum(large, large + 9 * random.standard_normal((768, 768, 1)))
    assert abs(found.slope) < 0.05
    assert found.unevenness < 1.0
    # Each frequency has the variance of the noise.
    np.testing.assert_allclose(found.power, 81, rtol=0.15)  # of few frequencies


def test_pink_noise_falls_as_one_over_the_frequency(gray):
    noisy = distort(np.full((256, 256, 3), 128, np.uint8), "pink", 20, seed=3)
    found = residuals.spectrum(gray, noisy)
    assert found.slope == pytest.approx(-1, abs=0.1)
    assert found.unevenness > 5


@pytest.mark.parametrize(("name", "severity"), [("white", 20), ("pink", 10)])
def test_the_color_of_noise_is_told(name, severity, images):
    """On an image, whose dark and bright parts clip."""
    found = residuals.measure(images[0], distort(images[0], name, severity, seed=3)).spectrum
    assert found.color == name
    coded = residuals.measure(images[0], distort(images[0], "jpeg", 40)).spectrum
    assert coded.gap(coded) == 0 < coded.gap(found)
    twice = residuals.Spectrum(coded.frequency, 100 * coded.power)
    assert twice.gap(coded) == pytest.approx(20)


def test_what_cannot_be_measured_is_not_a_number(images):
    nothing = residuals.measure(images[0], images[0])
    assert nothing.spectrum is None
    assert nothing.blockiness == pytest.approx(1, abs=0.2)
    small = residuals.measure(images[0][:10], images[1][:10])
    assert np.isnan([small.blockiness, small.high_frequency]).all()


def test_a_tint_is_no_noise(gray):
    x = np.linspace(0, np.pi, 256)
    tint = gray + (5 * np.sin(x))[:, None, None] + np.random.default_rng(0).normal(size=gray.shape)
    assert residuals.spectrum(gray, tint).slope > -0.7


def test_jpeg_has_blocks_and_noise_has_none(images):
    image = np.tile(images[0], (2, 2, 1))[:200, :240]
    untouched = residuals.blockiness(image)
    strong, weak = (residuals.blockiness(distort(image, "jpeg", q)) for q in (10, 90))
    assert 0.8 < untouched < 1.2
    assert strong > 1.5 * untouched
    assert abs(weak - untouched) < 0.2
    assert residuals.blockiness(distort(image, "white", 20, seed=0)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("corner", [(4, 3), (1, 7), (5, 0)])
def test_blocks_may_begin_anywhere(corner, images):
    coded = distort(images[0], "jpeg", 10)
    cut = coded[corner[0] :, corner[1] :]
    assert residuals.blockiness(cut) == pytest.approx(residuals.blockiness(coded), rel=0.1)


def test_blocks_of_another_size_count_little(images, random):
    """Of fives, every eighth border falls on one of theirs no more often than elsewhere."""
    image = np.tile(images[0], (2, 2, 1))[:200, :240]
    found = []
    for side in (5, 8):
        blocks = np.repeat(np.repeat(image[::side, ::side], side, 0), side, 1)
        found.append(residuals.blockiness(blocks + random.normal(size=blocks.shape)))
    assert found[0] < 2 < 5 < found[1]


def test_one_color_has_no_blockiness(gray):
    assert np.isnan(residuals.blockiness(gray))


def test_flatness_tells_white_noise_from_what_repeats(gray, random):
    white = random.standard_normal((256, 256, 1))
    assert residuals.spectrum(gray, gray + 9 * white).flatness == pytest.approx(-2.51, abs=0.1)
    lattice = np.tile(white[:32, :32], (8, 8, 1)) + 0.1 * white
    assert residuals.spectrum(gray, gray + 9 * lattice).flatness < -5
    noisy = distort(gray.astype(np.uint8), "pink", 20, seed=3)
    assert residuals.spectrum(gray, noisy).flatness < -4


def test_ringing_is_what_lies_beside_edges(images, random):
    edge = np.zeros((64, 64, 3)) + 60.0
    edge[:, 32:] = 180.0
    assert residuals.ringing(edge, edge) == 0
    waves = edge + np.where(abs(np.arange(64) - 31.5) < 14, 5.0, 0.0)[:, None]
    assert residuals.ringing(edge, waves) == pytest.approx(25)
    far = edge + np.where(abs(np.arange(64) - 31.5) > 15, 5.0, 0.0)[:, None]
    on_it = edge + np.where(abs(np.arange(64) - 31.5) < 2, 5.0, 0.0)[:, None]
    assert residuals.ringing(edge, far) == residuals.ringing(edge, on_it) == 0
    assert np.isnan(residuals.ringing(edge[:, :32], edge[:, :32]))
    strong, weak = (
        residuals.ringing(images[0], distort(images[0], "jpeg2000", ratio)) for ratio in (40, 8)
    )
    assert strong > 2 * weak > 0


def test_the_strength_is_that_of_the_residual(images, random):
    noisy = images[0] + 7 * random.standard_normal(images[0].shape)
    assert residuals.measure(images[0], noisy).std == pytest.approx(7, rel=0.02)


def test_high_frequencies_are_those_that_blurring_takes(images, random):
    from scipy import ndimage

    image = images[0].astype(np.float64)
    blurred = ndimage.gaussian_filter(image, (1, 1, 0))
    assert residuals.high_frequency_energy(blurred) < 0.3 * residuals.high_frequency_energy(image)
    # Of white noise, all frequencies but those in a circle of radius 1/4 around 0 are high.
    noise = np.repeat(random.standard_normal((256, 256, 1)), 3, 2)
    share = residuals.high_frequency_energy(noise)
    assert share == pytest.approx(1 - np.pi / 16, rel=0.03)


@pytest.mark.parametrize("measure", [residuals.blockiness, residuals.high_frequency_energy])
def test_small_and_gray_images_are_refused(measure):
    with pytest.raises(ValueError, match="at least 16x16 pixels, got"):
        measure(np.zeros((15, 20, 3)))
    with pytest.raises(ValueError, match="expected RGB"):
        measure(np.zeros((20, 20)))


def test_spectra_need_two_images_that_differ(gray):
    with pytest.raises(ValueError, match="got equal ones"):
        residuals.spectrum(gray, gray)
    with pytest.raises(ValueError, match="one shape"):
        residuals.spectrum(gray, gray[:100])
    with pytest.raises(ValueError, match="at least 64x64"):
        residuals.spectrum(gray[:63], gray[:63] + 1)
