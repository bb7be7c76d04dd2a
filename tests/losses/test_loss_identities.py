"""What holds of all losses for whatever images: identity, symmetry, scale, gradients."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lossylab.losses import (
    adversarial,
    distortion_gan,
    jpeg_encoder,
    proxiqa,
    pulse,
    rankiqa,
    wcdgan,
)
from lossylab.losses.pixels import NORMS, finite_gradient, pixel_error

few = hypothesis.settings(max_examples=25, deadline=None, database=None, derandomize=True)
SHAPE = (2, 6, 5, 3)
whole = st.integers(0, 255).map(float)
images = arrays.arrays(np.float32, SHAPE, elements=whole).map(tf.constant)
scores = arrays.arrays(np.float32, 4, elements=st.floats(-9, 9, width=32)).map(tf.constant)

DISTANCES = {
    "distortion_gan l1": lambda a, b: distortion_gan.pixel_loss(a, b, "l1"),
    "distortion_gan l2": lambda a, b: distortion_gan.pixel_loss(a, b, "l2"),
    "sparsity": distortion_gan.sparsity,
    "content l1": wcdgan.content_loss,
    "content l2": lambda a, b: wcdgan.content_loss(a, b, "l2"),
    "mse": jpeg_encoder.mse,
    "proxiqa l1": lambda a, b: proxiqa.pixel_loss(a, b, "l1"),
    "proxiqa l2": proxiqa.pixel_loss,
    "pulse": pulse.squared_error,
}


@pytest.mark.parametrize("name", DISTANCES)
@few
@hypothesis.given(images, images)
def test_distances_are_zero_of_equals_symmetric_and_not_negative(name, one, other):
    distance = DISTANCES[name]
    np.testing.assert_array_equal(distance(one, one), np.zeros_like(distance(one, one)))
    np.testing.assert_array_equal(distance(one, other), distance(other, one))
    assert (distance(one, other).numpy() >= 0).all()


@few
@hypothesis.given(images, images)
def test_psnrs_squared_error_is_one_for_all_papers(one, other):
    """The squared errors agree: means over a batch of those by image, in pixel values."""
    error = float(jpeg_encoder.mse(one, other))
    by_image = proxiqa.pixel_loss(one, other).numpy()
    assert float(wcdgan.content_loss(one, other, "l2")) == pytest.approx(error, rel=1e-5)
    assert by_image.mean() == pytest.approx(error, rel=1e-5)
    np.testing.assert_allclose(255**2 * pulse.squared_error(one, other), by_image, rtol=1e-4)


@few
@hypothesis.given(images, images, st.sampled_from(NORMS))
def test_an_offset_of_both_images_changes_no_pixels_error(one, other, norm):
    moved = pixel_error(one + 16.0, other + 16.0, norm)
    np.testing.assert_array_equal(moved, pixel_error(one, other, norm))


@few
@hypothesis.given(images, whole)
def test_total_variation_does_not_see_an_offset(image, offset):
    moved = wcdgan.total_variation(image + offset)
    np.testing.assert_allclose(moved, wcdgan.total_variation(image), rtol=1e-6)
    flat = tf.fill(SHAPE, offset)
    assert float(wcdgan.total_variation(flat)) == 0


@few
@hypothesis.given(scores, scores)
def test_adversarial_losses_are_least_where_they_should_be(real, generated):
    hinge = adversarial.hinge_discriminator(real, generated)
    assert float(hinge) >= 0
    assert float(adversarial.hinge_discriminator(real + 30, generated - 30)) == 0
    squares = adversarial.least_squares_discriminator(real, generated)
    assert float(squares) >= 0
    assert float(adversarial.least_squares_discriminator(tf.ones(4), tf.zeros(4))) == 0
    higher = adversarial.hinge_generator(generated + 1.0)
    assert float(higher) == pytest.approx(
        float(adversarial.hinge_generator(generated)) - 1, abs=1e-5
    )


@few
@hypothesis.given(arrays.arrays(np.float32, 24, elements=st.floats(-50, 50, width=32)), whole)
def test_rankings_see_differences_of_scores_alone(values, offset):
    """A common offset changes nothing; scores a margin apart in order cost nothing."""
    loss = float(rankiqa.ranking_hinge(tf.constant(values)))
    moved = float(rankiqa.ranking_hinge(tf.constant(values + np.float32(offset))))
    assert moved == pytest.approx(loss, rel=1e-4, abs=1e-3)
    assert loss >= 0
    ordered = np.tile(rankiqa.MARGIN * np.arange(5, -1, -1), 4).astype(np.float32)
    assert float(rankiqa.ranking_hinge(tf.constant(ordered))) == 0


def test_gradients_that_are_not_finite_become_zero():
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = finite_gradient(x)
        loss = tf.reduce_sum(y * tf.constant([1.0, np.inf, np.nan]))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(tape.gradient(loss, x), [1, 0, 0])
