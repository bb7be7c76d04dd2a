"""Tiles and the container of compressed files: properties of any size and content."""

import math

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lossylab.core.errors import BitstreamError
from lossylab.inference.export import container, graph_tiles, tiling
from lossylab.inference.export.codec import Encoded


@given(
    length=st.integers(1, 300),
    size=st.integers(1, 80),
    halo=st.integers(0, 40),
)
def test_cuts_cover_a_length_once_with_their_surroundings(length, size, halo):
    covered = []
    for cut in tiling.cuts(length, size, halo):
        kept = range(length)[cut.kept]
        wide = range(length)[cut.wide]
        assert list(wide[cut.inside]) == list(kept)
        assert wide.start == max(0, kept.start - halo)
        assert wide.stop == min(length, kept.stop + halo)
        covered += kept
    assert covered == list(range(length))


@settings(deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    radius=st.integers(0, 6),
    multiple=st.sampled_from([1, 2, 8]),
    max_pixels=st.integers(1, 2000),
    seed=st.integers(0, 9),
)
def test_work_in_tiles_is_work_on_the_whole(height, width, radius, multiple, max_pixels, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 2), np.uint8)
    seen = []

    def work(tile):
        """Looks `radius` pixels around, and at where a pixel lies modulo `multiple`."""
        seen.append(tile.shape[:2])
        filtered = scipy.ndimage.maximum_filter(tile, (2 * radius + 1, 2 * radius + 1, 1))
        rows, columns = (np.arange(length) % multiple for length in tile.shape[:2])
        return filtered // 2 + (rows[:, None] + columns)[..., None].astype(np.uint8)

    in_tiles = tiling.in_tiles(image, work, max_pixels, radius, multiple)
    largest = tiling.largest_tile(height, width, max_pixels, radius, multiple)
    assert max(seen, key=math.prod) == largest
    np.testing.assert_array_equal(in_tiles, work(image))


_STRINGS = st.binary(max_size=60)
_MODELS = st.sampled_from(["bls2017", "bmshj2018", ""])
_HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
_LENGTHS = st.integers(1, 2**12)


@settings(deadline=None)
@given(_STRINGS, _LENGTHS, _LENGTHS, _MODELS, _HASHES)
def test_what_is_packed_is_unpacked(string, height, width, model, weights):
    encoded = Encoded(string, height, width)
    data = container.pack(encoded, model, weights)
    found = container.unpack(data, model, weights, 2**26)
    assert (found.string, found.height, found.width) == (string, height, width)


@settings(deadline=None)
@given(_STRINGS, _LENGTHS, _LENGTHS, _HASHES, st.data())
def test_any_changed_byte_is_refused(string, height, width, weights, draw):
    data = bytearray(container.pack(Encoded(string, height, width), "bls2017", weights))
    position = draw.draw(st.integers(0, len(data) - 1))
    data[position] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(BitstreamError):
        container.unpack(bytes(data), "bls2017", weights, 2**26)


@settings(deadline=None)
@given(_STRINGS, _HASHES, _HASHES)
def test_files_of_other_weights_are_refused(string, weights, other):
    assume(weights[:16] != other[:16])
    data = container.pack(Encoded(string, 8, 8), "bls2017", weights)
    with pytest.raises(BitstreamError, match="other weights"):
        container.unpack(data, "bls2017", other, 2**26)


@settings(deadline=None, max_examples=15)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    positions=st.integers(1, 500),
    scale=st.sampled_from([1, 3]),
    halo=st.integers(0, 4),
)
def test_work_in_tiles_of_a_graph_is_work_on_the_whole(height, width, positions, scale, halo):
    image = np.random.default_rng(height).integers(0, 256, (height, width, 2)).astype(np.float32)
    sizes = []

    def work(rows, columns):
        """Looks `halo` around; each position gives `scale` rows and columns."""
        part = tf.constant(image)[rows.wide(), columns.wide()]
        sizes.append((rows.stop - rows.start) * (columns.stop - columns.start))
        part = tf.nn.max_pool2d(part[None], 2 * halo + 1, 1, "SAME")[0]
        part = tf.repeat(tf.repeat(part, scale, 0), scale, 1)
        return part[rows.inside(scale), columns.inside(scale)]

    spec = tf.TensorSpec((None, None, 2), tf.float32)
    size = tf.constant(height), tf.constant(width)
    found = graph_tiles.in_tiles(work, size, positions, halo, spec, scale)
    whole = scipy.ndimage.maximum_filter(image, (2 * halo + 1, 2 * halo + 1, 1))
    np.testing.assert_array_equal(found, whole.repeat(scale, 0).repeat(scale, 1))
    assert max(sizes) <= positions
