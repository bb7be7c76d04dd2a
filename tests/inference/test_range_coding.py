"""Range decoding: it ends whatever the string is, and only what was encoded so is decoded."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_compression as tfc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossylab.inference.export import range_coding
from lossylab.inference.export.entropy import FactorizedCoder
from lossylab.models.layers import factorized

_CHANNELS = 4
_SHAPE = (5, 6, _CHANNELS)


@pytest.fixture(scope="module")
def cdf():
    """Tables of normal densities, narrow to wide, an escape at the end of each."""
    rows = []
    for deviation in (0.2, 1.0, 4.0, 30.0):
        x = np.arange(-4 * deviation, 4 * deviation + 1)
        share = np.exp(-((x / deviation) ** 2) / 2)
        share = np.append(share / share.sum() * (1 - 2**-8), 2**-8)
        row = tfc.pmf_to_quantized_cdf(tf.constant(share, tf.float32), precision=12)
        rows += [-12, *row.numpy()]
    return tf.constant(rows, tf.int32)


@pytest.fixture(scope="module")
def mean_bits(cdf):
    return float(range_coding.costs(cdf.numpy()).mean.sum()) * 30


@pytest.fixture(scope="module")
def decoded(cdf, mean_bits):
    """Decodes a string in a graph; None if it is refused."""

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def decode(string):
        return range_coding.decode(string, cdf, tf.constant(_SHAPE), mean_bits)

    def attempt(string):
        try:
            return decode(tf.constant(string)).numpy()
        except tf.errors.InvalidArgumentError as error:
            if range_coding.NO_ENCODING not in str(error):
                raise
            return None

    return attempt


def _symbols(seed, escapes):
    """Numbers inside the tables, some far outside."""
    random = np.random.default_rng(seed)
    symbols = random.integers(0, 2, (1, *_SHAPE)).astype(np.int32)
    far = random.uniform(size=symbols.shape) < escapes
    sizes = 2.0 ** random.uniform(0, 23, symbols.shape) * random.choice((-1, 1), symbols.shape)
    return np.where(far, sizes, symbols).astype(np.int32)


_LENIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


@_LENIENT
@given(seed=st.integers(0, 2**31), escapes=st.sampled_from([0.0, 0.01, 0.3, 1.0]))
def test_what_was_encoded_is_decoded_and_costs_at_least_what_is_said(seed, escapes, cdf, decoded):
    symbols = _symbols(seed, escapes)
    string = range_coding.encode(tf.constant(symbols), cdf)
    np.testing.assert_array_equal(decoded(string.numpy()), symbols)
    least = float(range_coding.costs(cdf.numpy()).least.sum()) * 30
    range_coding.long_enough(string, tf.constant(least, tf.float64))


def test_strings_as_tfc_decodes_them(cdf, decoded):
    symbols = tf.constant(_symbols(3, 0.1))
    string = range_coding.encode(symbols, cdf)
    handle = tfc.create_range_decoder(string[None], cdf)
    handle, found = tfc.entropy_decode_channel(handle, _SHAPE, tf.int32)
    np.testing.assert_array_equal(found, decoded(string.numpy()))
    assert tfc.entropy_decode_finalize(handle).numpy().all()


@pytest.mark.parametrize("byte", [b"\xff", b"\0", b"\x01", b"\x80"])
def test_strings_of_one_byte_end(byte, cdf, decoded):
    """Of 0xFF bytes, tfc's own decoder finds an escape whose code has no end."""
    for length in range(150):
        symbols = decoded(byte * length)
        if symbols is not None:
            assert range_coding.encode(tf.constant(symbols), cdf).numpy() == byte * length


@_LENIENT
@given(string=st.binary(max_size=80))
def test_any_string_ends(string, decoded):
    decoded(string)


@pytest.mark.long
def test_strings_that_end_in_an_escape_end(cdf, decoded):
    """Those whose last number is an escape just where the string's own bits end."""
    whole = range_coding.encode(tf.constant(_symbols(5, 0.2)), cdf).numpy()
    for length in range(len(whole)):
        for last in (b"", b"\xff", b"\xff\xff", b"\xff\xf0", b"\xff\0\0\0\0"):
            decoded(whole[:length] + last)


def test_costs_are_those_of_the_tables(cdf):
    costs = range_coding.costs(cdf.numpy())
    assert len(costs.least) == len(costs.mean) == _CHANNELS
    for i, (least, mean) in enumerate(zip(costs.least, costs.mean)):
        ones = tf.constant(np.full((1, 40_000, 1), i), tf.int32)
        # The middle of the table is its most probable number.
        middle = round(4 * (0.2, 1.0, 4.0, 30.0)[i])
        string = range_coding.encode(ones * 0 + middle, cdf, ones)
        assert 8 * len(string.numpy()) == pytest.approx(40_000 * least, rel=0.01, abs=40)
        assert mean > least


def test_noise_takes_what_is_said_of_it(cdf):
    """The tail's length rests on it: decoded from noise, numbers cost their mean."""
    costs = range_coding.costs(cdf.numpy())
    noise = np.random.default_rng(1).bytes(400_000)
    handle = tfc.create_range_decoder([noise], cdf)
    _, found = tfc.entropy_decode_channel(handle, (10_000, 5, _CHANNELS), tf.int32)
    string = range_coding.encode(found, cdf)
    assert 8 * len(string.numpy()) == pytest.approx(50_000 * costs.mean.sum(), rel=0.02)


def test_latents_that_cannot_be_coded_are_refused():
    tf.random.set_seed(1)
    coder = FactorizedCoder(factorized.make_prior(2))
    for value in (np.nan, np.inf, -np.inf, 2.0**24, -(2.0**31)):
        latent = np.zeros((1, 3, 3, 2), np.float32)
        latent[0, 1, 1, 1] = value
        with pytest.raises(tf.errors.InvalidArgumentError, match=range_coding.NOT_FINITE):
            coder.encode(tf.constant(latent))
