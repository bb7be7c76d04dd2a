"""The estimate of bits that quantized coefficients take, against entropies and real files."""

import numpy as np
import pytest
import tensorflow as tf

from lossylab.inference.codecs import jpeg_files
from lossylab.losses.jpeg_encoder import coefficient_rate
from lossylab.models.jpeg_encoder import JPEGEncoder

_ONES = np.ones((2, 8, 8), np.float32)


def _entropy(values):
    _, counts = np.unique(values, return_counts=True)
    p = counts / counts.sum()
    return -(p * np.log2(p)).sum()


@pytest.mark.parametrize("step", [2.0, 12.0, 60.0])
def test_it_is_the_entropy_of_laplacian_coefficients(step, random):
    weighted = np.zeros((1, 3, 64, 64, 64), np.float32)
    weighted[0, 0, :, :, 5] = random.laplace(0, 10, (64, 64))
    found = float(coefficient_rate(tf.constant(weighted), step * _ONES))
    true = _entropy(np.rint(weighted[0, 0, :, :, 5] / step)) / 64
    # Scales of 16 values each are not exact.
    assert found == pytest.approx(true, rel=0.1, abs=2e-4)


def test_dc_counts_as_differences_and_neighborhoods_have_scales_of_their_own(random):
    weighted = np.zeros((1, 3, 8, 8, 64), np.float32)
    weighted[..., 0] = 900.0
    assert float(coefficient_rate(tf.constant(weighted), _ONES)) < 0.01
    loud = np.zeros((1, 3, 8, 8, 64), np.float32)
    loud[:, :, :4, :4, 9] = random.laplace(0, 40, (4, 4))  # one neighborhood of four
    spread = np.zeros_like(loud)
    spread[..., 9] = random.laplace(0, 10, (8, 8))
    rates = [float(coefficient_rate(tf.constant(each), _ONES)) for each in (loud, spread)]
    assert rates[0] < 0.5 * rates[1]


def test_coarser_tables_cost_less_and_gradients_are_finite(images):
    encoder = JPEGEncoder(table_scale=1.0)
    image = tf.constant(images[0][None], tf.float32)
    rates = []
    for step in (1.0, 20.0, 255.0):
        encoder.set_tables(step * _ONES)
        with tf.GradientTape() as tape:
            rate = coefficient_rate(encoder(image).weighted, encoder.tables)
        slope = tape.gradient(rate, encoder.scaled_tables).numpy()
        assert np.isfinite(slope).all()
        assert (slope <= 1e-7).all()
        rates.append(float(rate))
    assert rates[0] > 2 * rates[1] > 4 * rates[2] > 0
    flat = tf.fill((1, 64, 64, 3), 90.0)
    assert float(coefficient_rate(encoder(flat).weighted, encoder.tables)) < 0.01


@pytest.mark.parametrize("step", [15.0, 60.0])
def test_it_is_near_the_size_of_files(step, images):
    image = np.tile(images[0], (2, 2, 1))
    encoder = JPEGEncoder(table_scale=1.0)
    encoder.set_tables(step * _ONES)
    coefficients, tables = encoder.encode(tf.constant(image[None], tf.float32))
    contents = jpeg_files.Contents(coefficients[0].numpy(), tables.numpy(), *image.shape[:2])
    bits = 8 * len(jpeg_files.to_bytes(contents, "optimized")) / image[..., 0].size
    coded = encoder(tf.constant(image[None], tf.float32))
    assert float(coefficient_rate(coded.weighted, encoder.tables)) == pytest.approx(bits, rel=0.35)
