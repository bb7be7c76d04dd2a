"""What holds of color conversion, JPEG degradation and cached reading for whatever images."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lossylab.data import color, jpeg
from lossylab.data.decoded import ImageCache

few = hypothesis.settings(max_examples=40, deadline=None, database=None, derandomize=True)
sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
images = arrays.arrays(np.uint8, sizes.map(lambda size: (*size, 3)))
qualities = st.integers(1, 100)


@few
@hypothesis.given(images)
def test_jpegs_planes_give_back_the_colors(image):
    np.testing.assert_array_equal(color.jpeg_rgb(color.jpeg_ycbcr(image)), image)


@few
@hypothesis.given(images)
def test_planes_stay_in_their_ranges(image):
    planes = color.ycbcr(image).numpy()
    assert planes[..., 0].min() >= 16 - 1e-3
    assert planes[..., 0].max() <= 235 + 1e-3
    assert np.abs(planes[..., 1:] - 128).max() <= 112 + 1e-3
    np.testing.assert_array_equal(color.luma(image), planes[..., :1])
    rounded = color.studio_luma(image)
    assert np.abs(rounded - planes[..., :1]).max() <= 0.5 + 1e-3
    full = color.jpeg_ycbcr(image)
    assert full.min() >= -1e-9
    assert full.max() <= 256  # 255.5 for pure blue and red, which files clip


@few
@hypothesis.given(st.integers(0, 255), sizes)
def test_gray_has_no_color(value, size):
    planes = color.jpeg_ycbcr(np.full((*size, 3), value, np.uint8))
    np.testing.assert_allclose(planes, np.broadcast_to((value, 128, 128), planes.shape), atol=1e-9)


@few
@hypothesis.given(images, qualities)
def test_degrading_keeps_shape_and_is_a_function(image, quality):
    degraded = jpeg.degrade(image, quality)
    assert degraded.shape == image.shape
    assert degraded.dtype == np.uint8
    np.testing.assert_array_equal(degraded, jpeg.degrade(image.copy(), quality))


@few
@hypothesis.given(st.integers(0, 255), sizes, qualities)
def test_one_gray_stays_one_gray_as_near_as_its_step_size(value, size, quality):
    """A flat block is its DC coefficient alone: 8 times the value, rounded to the table's entry."""
    degraded = jpeg.degrade(np.full((*size, 1), value, np.uint8), quality)
    assert len(np.unique(degraded)) == 1
    step = jpeg.luminance_table(quality)[0, 0]
    assert abs(int(degraded.flat[0]) - value) <= step / 16 + 1


@few
@hypothesis.given(arrays.arrays(np.uint8, sizes.map(lambda size: (*size, 1))))
def test_the_best_quality_is_nearly_lossless_for_gray(image):
    assert np.abs(jpeg.degrade(image, 100).astype(int) - image).max() <= 3


@few
@hypothesis.given(qualities)
def test_tables_get_finer_with_the_quality_and_are_recognized(quality):
    for table in (jpeg.luminance_table, jpeg.chrominance_table):
        assert (table(quality) >= table(min(quality + 1, 100))).all()
        assert table(quality).min() >= 1
        assert table(quality).max() <= 255
    assert jpeg.nearest_quality(jpeg.luminance_table(quality)) == quality


@few
@hypothesis.given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30))
def test_the_cache_keeps_what_was_used_last_within_its_limit(calls):
    cache, loads, order = ImageCache(2), [], []
    half = 2**19
    for key, mib_halves in calls:
        size = half * (1 + (key + mib_halves) % 2)
        kept = key in order

        def load(key=key, size=size):
            loads.append(key)
            return np.zeros(size, np.uint8)

        before = len(loads)
        cache.get_or_load((key,), load)
        assert (len(loads) == before) == kept
        if kept:
            order.remove(key)
        order.append(key)
        alive = [name for (name,) in cache._kept]
        assert alive == order[len(order) - len(alive) :]  # the least recent are forgotten first
        order = alive
        assert cache.bytes == sum(each.nbytes for each in cache._kept.values()) <= 2 * 2**20
    cache.resize(0)
    assert cache.bytes == 0


def test_a_failed_load_keeps_nothing():
    cache = ImageCache(1)

    def fail():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        cache.get_or_load(("a",), fail)
    assert (cache.bytes, cache.reading) == (0, 0)
    assert cache.get_or_load(("a",), lambda: np.ones(3)).sum() == 3
