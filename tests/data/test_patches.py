"""Training patches: a pure function of (seed, step), cut out of the images as they are."""

import collections
import subprocess
import sys
import time

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from PIL import Image

from lossylab.core.errors import ImageError
from lossylab.data import patches as module
from lossylab.data.decoded import SHARED
from lossylab.data.patches import PatchOptions, check_sizes, crop_at_random, random_patches
from lossylab.data.scaling import scaled
from lossylab.data.schedule import Schedule, image_index, paths_of_step, stream_key

few = hypothesis.settings(max_examples=15, deadline=None, database=None, derandomize=True)
PLAIN = PatchOptions(size=16)
ALL = PatchOptions(size=16, min_scale=0.5, noise=6.0)


def _save(path, image):
    Image.fromarray(np.asarray(image, np.uint8)).save(path)
    return str(path)


def _take(paths, options, batch, seed, count, **where):
    """The next `count` elements as one array."""
    return np.stack(
        list(random_patches(paths, options, Schedule(batch, seed, **where)).take(count))
    )


@pytest.fixture(scope="module")
def textured(tmp_path_factory):
    """Five images of noise, of several sizes."""
    folder, random = tmp_path_factory.mktemp("textured"), np.random.default_rng(2)
    sizes = [(24, 40), (33, 17), (16, 16), (50, 20), (41, 41)]
    return [
        _save(folder / f"{number}.png", random.integers(0, 256, (*size, 3)))
        for number, size in enumerate(sizes)
    ]


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Seven images that are known by their color, which is their number times ten."""
    folder = tmp_path_factory.mktemp("flat")
    return [_save(folder / f"{n}.png", np.full((20, 18, 3), 10 * n)) for n in range(7)]


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Three images whose pixels say where they are: (row, column, image)."""
    folder = tmp_path_factory.mktemp("maps")
    paths = []
    for number, (height, width) in enumerate([(18, 20), (16, 19), (21, 17)]):
        rows, columns = np.mgrid[:height, :width]
        image = np.stack([rows, columns, np.full_like(rows, number)], -1)
        paths.append(_save(folder / f"{number}.png", image))
    return paths


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """One image 200x240 whose levels are the row, the column and zero."""
    rows, columns = np.mgrid[:200, :240]
    image = np.stack([rows, columns, np.zeros_like(rows)], -1)
    return [_save(tmp_path_factory.mktemp("ramps") / "ramp.png", image)]


def _scales(crops):
    """How many source pixels one patch pixel spans, down and across, from patches of ramps."""
    inner = crops[:, 3:-3, 3:-3]
    steps = inner.shape[1] - 1
    down = (inner[:, -1, :, 0] - inner[:, 0, :, 0]).mean(1) / steps
    across = (inner[:, :, -1, 1] - inner[:, :, 0, 1]).mean(1) / steps
    return down, across


# What is drawn depends on the seed and the patch's number only.


@pytest.mark.parametrize("options", [PLAIN, ALL])
@pytest.mark.parametrize("step", [1, 2, 7])
def test_starting_later_equals_skipping(options, step, textured):
    later = _take(textured, options, 4, 3, 3, first_step=step)
    skipped = list(random_patches(textured, options, Schedule(4, 3)).skip(step).take(3))
    np.testing.assert_array_equal(later, skipped)


def test_starting_late_in_a_long_run_needs_no_time(textured):
    assert _take(textured, ALL, 4, 3, 1, first_step=10**15).shape == (1, 4, 16, 16, 3)


@pytest.mark.parametrize("shards", [1, 2, 4])
@pytest.mark.parametrize("replicas", [1, 2])
def test_shards_and_replicas_together_give_the_global_batch(shards, replicas, textured):
    whole = _take(textured, ALL, 8, 3, 3, first_step=5)
    parts = [
        _take(
            textured,
            ALL,
            8,
            3,
            3 * replicas,
            first_step=5,
            shard=s,
            shards=shards,
            replicas=replicas,
        ).reshape(3, -1, 16, 16, 3)
        for s in range(shards)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, 1), whole)


def test_equal_seeds_give_equal_patches_and_others_do_not(textured):
    first, again, other = (_take(textured, ALL, 4, seed, 4) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not any(np.array_equal(a, b) for a in first for b in other)


def test_other_seeds_order_the_images_otherwise(flat):
    orders = {tuple(paths_of_step(flat, 7, seed, 0)) for seed in range(20)}
    assert len(orders) > 15


def test_no_patch_of_a_run_repeats(textured):
    taken = _take(textured, ALL, 5, 3, 8).reshape(40, -1)
    assert len(np.unique(taken, axis=0)) == 40


@few
@hypothesis.given(st.integers(0, 2**31), st.integers(1, 20), st.integers(0, 10**6))
def test_each_epoch_is_a_permutation_of_the_images(seed, count, epoch):
    numbers = tf.range(epoch * count, (epoch + 1) * count, dtype=tf.int64)
    drawn = [int(image_index(seed, number, count)) for number in numbers]
    assert sorted(drawn) == list(range(count))


def test_epochs_are_different_permutations():
    drawn = [int(image_index(3, number, 20)) for number in tf.range(100, dtype=tf.int64)]
    assert len({tuple(drawn[start : start + 20]) for start in range(0, 100, 20)}) == 5


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_paths_of_a_step_are_those_that_are_read(batch, flat):
    taken = _take(flat, PLAIN, batch, 9, 5)
    assert (taken == taken[:, :, :1, :1, :1]).all()
    for step, colors in enumerate(taken[:, :, 0, 0, 0]):
        expected = [flat[int(color) // 10] for color in colors]
        assert paths_of_step(flat, batch, 9, step) == expected


@pytest.mark.parametrize("cache_mb", [0, 1])
def test_cache_does_not_change_the_patches(cache_mb, textured):
    uncached = PatchOptions(size=16, min_scale=0.5, noise=6.0, cache_mb=cache_mb)
    np.testing.assert_array_equal(_take(textured, uncached, 4, 3, 6), _take(textured, ALL, 4, 3, 6))


def test_slow_files_do_not_change_the_order(flat, monkeypatch):
    # One patch an element: TensorFlow keeps the order inside of a batch anyway.
    read, expected = module.read_image, _take(flat, PLAIN, 7, 9, 28, replicas=7)

    def slow(path):
        if path in flat[::2]:
            time.sleep(0.03)
        return read(path)

    monkeypatch.setattr(module, "read_image", slow)
    taken = _take(flat, PatchOptions(size=16, cache_mb=0), 7, 9, 28, replicas=7)
    np.testing.assert_array_equal(taken, expected)


def _count_reads(monkeypatch, paths, cache_mb, count):
    reads, read = collections.Counter(), module.read_image
    _take(paths, PatchOptions(size=16, cache_mb=0), 1, 3, 1)  # forgets what earlier tests read

    def counting(path):
        reads[path] += 1
        return read(path)

    monkeypatch.setattr(module, "read_image", counting)
    _take(paths, PatchOptions(size=16, cache_mb=cache_mb), 1, 3, count)
    return reads


def test_cache_spares_reading_again(flat, monkeypatch):
    reads = _count_reads(monkeypatch, flat, 1, 70)
    assert set(reads) == set(flat)
    assert max(reads.values()) <= 2  # two threads may want one image at the same time


def test_images_beyond_the_cache_are_read_again(flat, monkeypatch):
    assert sum(_count_reads(monkeypatch, flat, 0, 70).values()) >= 70


def test_a_second_pipeline_keeps_no_second_copy(flat, monkeypatch):
    _count_reads(monkeypatch, flat, 1, 70)
    before = SHARED.bytes
    reads, read = [], module.read_image
    monkeypatch.setattr(module, "read_image", lambda path: reads.append(path) or read(path))
    _take(flat, PatchOptions(size=16, cache_mb=1), 1, 4, 70)
    assert not reads
    assert SHARED.bytes == before == sum(p.nbytes for p in SHARED._kept.values())


def test_a_file_that_changed_is_read_again(tmp_path):
    path = _save(tmp_path / "a.png", np.full((32, 32, 3), 10))
    assert _take([path], PLAIN, 1, 3, 1).max() == 10
    _save(tmp_path / "a.png", np.full((33, 32, 3), 20))
    assert _take([path], PLAIN, 1, 3, 1).min() == 20


def test_cache_forgets_the_least_recently_used_image(tmp_path, monkeypatch):
    # Each image fills two thirds of a MiB, so one fits and two do not.
    paths = [_save(tmp_path / f"{n}.png", np.full((400, 580, 3), n)) for n in range(2)]
    reads = _count_reads(monkeypatch, paths, 1, 30)
    assert min(reads.values()) >= 5
    monkeypatch.undo()
    reads = _count_reads(monkeypatch, paths, 2, 30)
    assert max(reads.values()) <= 2


# What is cut out.


def test_unscaled_patches_are_exact_crops_from_everywhere(maps):
    taken = _take(maps, PLAIN, 6, 1, 40).reshape(-1, 16, 16, 3)
    assert taken.dtype == np.float32
    seen = collections.defaultdict(set)
    for crop in taken:
        top, left, number = crop[0, 0]
        rows, columns = np.mgrid[:16, :16]
        expected = np.stack([top + rows, left + columns, np.full((16, 16), number)], -1)
        np.testing.assert_array_equal(crop, expected)
        seen[int(number)].add((int(top), int(left)))
    for number, (height, width) in enumerate([(18, 20), (16, 19), (21, 17)]):
        tops, lefts = range(height - 15), range(width - 15)
        assert seen[number] == {(top, left) for top in tops for left in lefts}


@pytest.mark.parametrize("min_scale", [1.0, 0.25])
def test_image_as_large_as_the_patch_is_taken_whole(min_scale, tmp_path, random):
    image = random.integers(0, 256, (16, 16, 3))
    path = _save(tmp_path / "small.png", image)
    taken = _take([path], PatchOptions(size=16, min_scale=min_scale), 2, 3, 3)
    np.testing.assert_array_equal(taken, np.broadcast_to(image, taken.shape))


def test_scales_lie_between_the_smallest_and_one_and_fill_the_range(ramps):
    taken = _take(ramps, PatchOptions(size=40, min_scale=0.4), 64, 3, 1)[0]
    down, across = _scales(taken)
    np.testing.assert_allclose(down, across, rtol=0.02)  # the aspect ratio is kept
    assert 1 <= down.min() < 1.1
    assert 2.3 < down.max() <= 2.5
    assert len(np.unique(down.round(2))) > 30


def test_scale_is_raised_where_the_image_would_become_too_small(ramps):
    taken = _take(ramps, PatchOptions(size=160, min_scale=0.1), 24, 3, 1)[0]
    down, _ = _scales(taken)
    assert 1 <= down.min() < 1.05
    assert 1.2 < down.max() <= 200 / 160 + 0.01
    assert (down > 1.24).mean() < 0.3  # drawn from what is possible, not cut off at its end


def test_scaled_patches_show_the_image_without_shift_or_border(ramps):
    taken = _take(ramps, PatchOptions(size=40, min_scale=0.4), 64, 3, 1)[0]
    down, across = _scales(taken)
    # From the middle of the patch to the middle of the window: it must lie in the image.
    middle = taken[:, 19:21, 19:21].mean((1, 2))
    assert (middle[:, 0] - 20 * down >= -0.5 - 0.3).all()
    assert (middle[:, 0] + 20 * down <= 199.5 + 0.3).all()
    assert (middle[:, 1] - 20 * across >= -0.5 - 0.3).all()
    assert (middle[:, 1] + 20 * across <= 239.5 + 0.3).all()
    np.testing.assert_array_equal(taken[..., 2], 0)


def test_scaling_down_averages(tmp_path):
    board = 255 * (np.indices((200, 200)).sum(0) % 2)
    path = _save(tmp_path / "board.png", np.repeat(board[..., None], 3, -1))
    taken = _take([path], PatchOptions(size=16, min_scale=0.05), 32, 3, 1)[0]
    inner = taken[:, 4:-4, 4:-4]
    contrast = inner.max((1, 2, 3)) - inner.min((1, 2, 3))
    np.testing.assert_allclose(inner.mean((1, 2, 3)), 127.5, atol=8)
    assert np.median(contrast) < 64  # without an antialiasing filter it stays near 255


def test_noise_is_uniform_and_as_wide_as_asked(maps, tmp_path):
    gray = [_save(tmp_path / "gray.png", np.full((40, 40, 3), 100))]
    noisy = _take(gray, PatchOptions(size=16, noise=8.0), 16, 3, 4) - 100
    assert -4 <= noisy.min() < -3.99
    assert 3.99 < noisy.max() <= 4
    assert abs(noisy.mean()) < 0.05
    assert noisy.std() == pytest.approx(8 / np.sqrt(12), rel=0.01)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02


def test_noise_leaves_the_place_of_the_crop(textured):
    noisy = _take(textured, PatchOptions(size=16, noise=2.0), 4, 3, 4)
    clean = _take(textured, PLAIN, 4, 3, 4)
    assert not np.array_equal(noisy, clean)
    assert np.abs(noisy - clean).max() <= 1 + 1e-4


@pytest.mark.parametrize("min_scale", [1.0, 0.5])
@pytest.mark.parametrize("noise", [1.0, 255.0])
def test_noisy_levels_stay_in_range(min_scale, noise, tmp_path):
    halves = np.zeros((40, 40, 3))
    halves[:, 20:] = 255
    path = _save(tmp_path / "halves.png", halves)
    taken = _take([path], PatchOptions(size=16, min_scale=min_scale, noise=noise), 16, 3, 2)
    assert taken.shape == (2, 16, 16, 16, 3)
    assert taken.min() == 0
    assert taken.max() == 255
    assert ((taken > 0) & (taken < 255)).mean() > 0.3


def test_places_on_a_grid_are_all_alike():
    rows, columns = np.mgrid[:10, :14]
    image = tf.constant(np.stack([rows, columns], -1))
    counts = collections.Counter()
    for number in range(1200):
        key = stream_key(3, tf.constant(number, tf.int64), 5)
        crop = crop_at_random(image, 4, key, 3).numpy()
        top, left = (int(x) for x in crop[0, 0])
        np.testing.assert_array_equal(crop, image[top : top + 4, left : left + 4])
        counts[top, left] += 1
    assert set(counts) == {(top, left) for top in (0, 3, 6) for left in (0, 3, 6, 9)}
    assert 60 < min(counts.values()) <= max(counts.values()) < 140  # 100 and four deviations


def test_keys_are_of_seed_number_and_stream():
    """Checkpoints of runs go on with the same batches: how keys are made may not change."""
    places = [
        (seed, number, stream) for seed in (1, 2) for number in (0, 2**40) for stream in (3, 5)
    ]
    keys = [stream_key(s, tf.constant(n, tf.int64), k).numpy() for s, n, k in places]
    assert len({tuple(key) for key in keys}) == len(places)
    for (seed, number, stream), key in zip(places, keys):
        pair = tf.constant([seed, number], tf.int64)
        np.testing.assert_array_equal(key, tf.random.fold_in(pair, stream))


def test_element_shapes_are_known_to_the_graph(textured):
    data = random_patches(textured, ALL, Schedule(8, 3, shards=2, replicas=2))
    assert data.element_spec == tf.TensorSpec((2, 16, 16, 3), tf.float32)


# What is refused.


def test_sizes_of_fitting_images_are_accepted(textured):
    check_sizes(textured, 16)


def test_small_image_is_named_with_its_size(textured):
    text = (
        r"^1 images are smaller than the patch of 17x17 pixels: .*/2\.png \(16 pixels\); "
        "remove them or choose something smaller$"
    )
    with pytest.raises(ImageError, match=text):
        check_sizes(textured, 17)


def test_what_needs_the_size_is_named(textured):
    text = r"^1 images are smaller than the window of 17x17 pixels: .*/2\.png"
    with pytest.raises(ImageError, match=text):
        check_sizes(textured, 17, "the window")


def test_many_small_images_are_counted_and_three_are_named(textured):
    text = (
        r"^5 images are smaller than the patch of 64x64 pixels: .*/0\.png \(24 pixels\), "
        r".*/1\.png \(17 pixels\), .*/2\.png \(16 pixels\), \.\.\.; remove"
    )
    with pytest.raises(ImageError, match=text):
        check_sizes(textured, 64)


def test_unreadable_image_is_named_by_the_check(textured, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(ImageError, match=r"/bad\.png: not an image in a known format"):
        check_sizes([*textured, str(tmp_path / "bad.png")], 16)


def test_small_image_of_a_long_list_is_named_when_it_is_read(flat, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEADERS_CHECKED", 2)
    small = _save(tmp_path / "small.png", np.zeros((20, 15, 3)))
    paths = [flat[0], small, flat[1], flat[2]]
    check_sizes(paths, 16)  # looks at every second one only
    text = r"1 images are smaller than the patch of 16x16 pixels: .*/small\.png \(15 pixels\)"
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        _take(paths, PLAIN, 4, 3, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_list_as_long_as_the_limit_is_checked_whole(count, flat, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEADERS_CHECKED", count)
    small = _save(tmp_path / "small.png", np.zeros((20, 15, 3)))
    with pytest.raises(ImageError, match=r"^1 images are smaller"):
        check_sizes([*flat[: count - 1], small], 16)


def test_damaged_image_is_named_when_it_is_read(flat, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    text = r"ImageError: .*/bad\.png: not an image in a known format"
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        _take([*flat, str(tmp_path / "bad.png")], PLAIN, 8, 3, 1)


@pytest.mark.parametrize(
    ("batch", "shards", "replicas", "devices"),
    [(0, 1, 1, 1), (-4, 1, 1, 1), (3, 2, 1, 2), (6, 2, 2, 4), (2, 1, 4, 4)],
)
def test_batch_that_cannot_be_shared_is_refused(batch, shards, replicas, devices):
    text = f"^a batch of {batch} cannot be shared by {devices} devices$"
    with pytest.raises(ValueError, match=text):
        Schedule(batch, 3, shards=shards, replicas=replicas)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="^no images to draw patches from$"):
        random_patches([], PLAIN, Schedule(4, 3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 0}, "size must be at least 1 pixel, got 0"),
        ({"size": -5}, "size must be at least 1 pixel, got -5"),
        ({"min_scale": 0.0}, r"min_scale must lie in \(0, 1\], got 0\.0"),
        ({"min_scale": 1.01}, r"min_scale must lie in \(0, 1\], got 1\.01"),
        ({"min_scale": float("nan")}, r"min_scale must lie in \(0, 1\], got nan"),
        ({"noise": -0.1}, r"noise must lie in 0\.\.255 pixel values, got -0\.1"),
        ({"noise": 256.0}, r"noise must lie in 0\.\.255 pixel values, got 256\.0"),
        ({"noise": float("nan")}, r"noise must lie in 0\.\.255 pixel values, got nan"),
        ({"cache_mb": -1}, "cache_mb must be at least 0 MiB, got -1"),
    ],
)
def test_options_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        PatchOptions(**options)


# A program with such a data set must be able to end.

_LEAVES_ITERATORS_ALIVE = """
import sys
from lossylab.data.patches import PatchOptions, random_patches
from lossylab.data.schedule import Schedule
alive = []
for seed in range(2):
    options = PatchOptions(size=64, min_scale=0.5, noise=2.0, cache_mb=64 * (seed % 2))
    alive.append(iter(random_patches(sys.argv[1:], options, Schedule(8, seed))))
    next(alive[-1])
print("reached the end", flush=True)
"""


def test_program_that_leaves_iterators_alive_ends(tmp_path, random):
    # Large images, so that threads still read when the program ends.
    large = [_save(tmp_path / f"{n}.png", random.integers(0, 256, (700, 900, 3))) for n in range(2)]
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES_ITERATORS_ALIVE, *large],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "reached the end\n", done.stderr[-2000:]
    assert done.returncode == 0, done.stderr[-2000:]


def test_scaling_takes_height_before_width(random):
    image = random.integers(0, 256, (6, 10, 3), np.uint8)
    assert scaled(image, 6, 10) is image
    assert scaled(image, 3, 4).shape == (3, 4, 3)
    assert scaled(image, 5).shape == (5, 5, 3)
    np.testing.assert_array_equal(scaled(np.full_like(image, 7), 3, 4), 7)
