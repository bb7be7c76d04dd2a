"""JPEG degradation, its tables, and training pairs."""

import dataclasses
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from lossylab.core.errors import ImageError
from lossylab.data import jpeg
from lossylab.data.color import jpeg_rgb, jpeg_ycbcr, luma, studio_luma
from lossylab.data.decode import decode_image, read_image
from lossylab.data.lattice_pairs import Lattice, LatticeOptions, lattice_patches, read_planes
from lossylab.data.schedule import Schedule


@pytest.mark.parametrize("quality", [1, 5, 10, 49, 50, 51, 90, 100])
def test_tables_are_those_in_pillows_files(quality, tmp_path, images):
    path = tmp_path / "a.jpg"
    Image.fromarray(images[0]).save(path, quality=quality)
    found, wanted = decode_image(path).coding, jpeg.Coding.by_quality(quality, 3)
    np.testing.assert_array_equal(found.tables, wanted.tables)
    assert (found.areas, found.has_luma) == (wanted.areas, True) == ((1, 4, 4), True)
    assert jpeg.nearest_quality(found.tables[0]) == quality


@pytest.mark.parametrize(("subsampling", "area"), [("4:4:4", 1), ("4:2:2", 2), ("4:2:0", 4)])
def test_a_file_says_how_its_colors_were_sampled(subsampling, area, tmp_path, images):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg.encode(images[0], 10, subsampling))
    assert decode_image(path).coding.areas == (1, area, area)
    assert jpeg.Coding.by_quality(10, 3, subsampling).areas == (1, area, area)


def _with_tables_exchanged(data):
    """The same file with the chrominance table before the luminance table."""
    first = data.index(b"\xff\xdb\x00\x43\x00")
    second = data.index(b"\xff\xdb\x00\x43\x01")
    assert second == first + 69
    return data[:first] + data[second : second + 69] + data[first:second] + data[second + 69 :]


def test_the_frame_header_says_which_table_is_whose(tmp_path, images):
    data = jpeg.encode(images[0], 10)
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.jpg").write_bytes(_with_tables_exchanged(data))
    one, other = (decode_image(tmp_path / name) for name in ("a.jpg", "b.jpg"))
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.coding.tables, other.coding.tables)


@pytest.mark.parametrize(
    ("mode", "keep_rgb", "has_luma"),
    [("RGB", True, False), ("RGB", False, True), ("CMYK", False, False), ("L", False, True)],
)
def test_a_file_says_whether_it_has_coded_luma(mode, keep_rgb, has_luma, tmp_path, images):
    image = Image.fromarray(images[0]).convert(mode)
    image.save(tmp_path / "a.jpg", quality=10, keep_rgb=keep_rgb)
    coding = decode_image(tmp_path / "a.jpg").coding
    assert coding.has_luma == has_luma
    assert len(coding.tables) == len(coding.areas) == len(image.getbands())


def test_other_formats_have_no_tables(tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png").coding is None
    (tmp_path / "b.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match="not an image"):
        decode_image(tmp_path / "b.jpg")


@pytest.mark.parametrize("subsampling", jpeg.SUBSAMPLINGS)
def test_degrading_is_writing_and_reading_a_file(subsampling, tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "a.jpg", quality=10, subsampling=subsampling)
    expected = read_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(jpeg.degrade(images[0], 10, subsampling), expected)
    gray = images[0][..., :1]
    Image.fromarray(gray[..., 0]).save(tmp_path / "g.jpg", quality=10)
    np.testing.assert_array_equal(jpeg.degrade(gray, 10), decode_image(tmp_path / "g.jpg").pixels)


@pytest.mark.parametrize("quality", [0, 101, -1])
def test_impossible_qualities_are_refused(quality, images):
    with pytest.raises(ValueError, match=f"quality must lie in 1..100, got {quality}"):
        jpeg.degrade(images[0], quality)
    with pytest.raises(ValueError, match="quality must lie"):
        jpeg.luminance_table(quality)


def test_shapes_that_are_no_images_are_refused(images):
    with pytest.raises(ValueError, match=r"expected an image \[H, W, 1\] or \[H, W, 3\]"):
        jpeg.degrade(images[0][..., 0], 10)


def test_studio_luma_is_the_rounded_luma(images):
    got = studio_luma(images[0])
    assert got.dtype == np.uint8
    assert got.shape == (*images[0].shape[:2], 1)
    assert np.abs(got - luma(images[0]).numpy()).max() <= 0.5 + 1e-3
    ends = studio_luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).ravel()
    assert list(ends) == [16, 235]


def test_jpegs_planes_go_there_and_back(images):
    np.testing.assert_array_equal(jpeg_rgb(jpeg_ycbcr(images[0])), images[0])
    gray = np.full((2, 2, 3), 77, np.uint8)
    np.testing.assert_allclose(jpeg_ycbcr(gray)[0, 0], [77, 128, 128])


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "RGB", "P", "LA", "CMYK"])
def test_gray_files_are_one_plane(mode, tmp_path, images):
    suffix = ".tif" if mode == "CMYK" else ".png"
    image = Image.fromarray(images[0])
    if mode == "I;16":
        Image.fromarray(images[0][..., 0].astype(np.uint16) * 257).save(tmp_path / f"a{suffix}")
    else:
        image.convert(mode).save(tmp_path / f"a{suffix}")
    got = decode_image(tmp_path / f"a{suffix}").pixels
    assert got.shape[2] == (1 if mode in ("L", "1", "I;16", "LA") else 3)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}")[..., :1], got[..., :1])


def test_planes_of_gray_files_are_taken_as_they_are(tmp_path, images):
    gray = images[0][..., 0]
    Image.fromarray(gray).save(tmp_path / "g.png")
    Image.fromarray(images[0]).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_planes(tmp_path / "g.png", 1)[..., 0], gray)
    np.testing.assert_array_equal(read_planes(tmp_path / "c.png", 1), studio_luma(images[0]))
    assert read_planes(tmp_path / "g.png", 3).shape[2] == 3


@pytest.fixture(scope="module")
def files(tmp_path_factory, images):
    """Five image files of different sizes."""
    folder = tmp_path_factory.mktemp("pairs")
    sizes = ((40, 50), (33, 64), (64, 33), (128, 160), (32, 32))
    for index, (height, width) in enumerate(sizes):
        image = images[index % 3][:height, :width]
        Image.fromarray(image).save(folder / f"{index}.png")
    return sorted(map(str, folder.iterdir()))


OPTIONS = LatticeOptions(size=16, stride=15, quality=10, channels=3)


def test_an_epoch_has_every_patch_once(files):
    lattice = Lattice(files, OPTIONS)
    expected = set()
    for index, path in enumerate(files):
        height, width = read_image(path).shape[:2]
        rows, columns = ((side - 16) // 15 + 1 for side in (height, width))
        expected |= set(itertools.product([index], range(rows * columns)))
    for epoch in range(3):
        numbers = range(epoch * lattice.total, (epoch + 1) * lattice.total)
        found = [lattice.locate(7, number) for number in numbers]
        assert len(found) == len(expected)
        assert set(found) == expected


def test_epochs_and_seeds_have_different_orders(files):
    lattice = Lattice(files, OPTIONS)
    orders = {
        tuple(lattice.locate(seed, epoch * lattice.total + i) for i in range(20))
        for seed in (1, 2)
        for epoch in (0, 1)
    }
    assert len(orders) == 4


def _take(files, count, **options):
    batches = lattice_patches(files, OPTIONS, Schedule(4, 3, **options))
    return [[side.numpy() for side in batch] for batch in batches.take(count)]


def _window(image, patch):
    """Where a patch of `OPTIONS` lies in its image."""
    columns = (image.shape[1] - 16) // 15 + 1
    top, left = (15 * place for place in divmod(patch, columns))
    return slice(top, top + 16), slice(left, left + 16)


def test_pairs_are_crops_of_the_image_and_of_its_file(files):
    lattice = Lattice(files, OPTIONS)
    (true, damaged), *_ = _take(files, 1)
    for i in range(4):
        index, patch = lattice.locate(3, i)
        image = read_image(files[index])
        window = _window(image, patch)
        np.testing.assert_array_equal(true[i], image[window])
        np.testing.assert_array_equal(damaged[i], jpeg.degrade(image, 10)[window])


def test_files_have_all_qualities_of_a_range_another_each_epoch(files):
    options = dataclasses.replace(OPTIONS, best_quality=13)
    lattice = Lattice(files, options)
    drawn = np.array(
        [
            [lattice.quality(3, epoch * lattice.total, image) for image in range(len(files))]
            for epoch in range(40)
        ]
    )
    assert set(drawn.flat) == {10, 11, 12, 13}
    assert all(len(set(image)) > 1 for image in drawn.T)
    (true, damaged) = next(iter(lattice_patches(files, options, Schedule(4, 3))))
    index, patch = lattice.locate(3, 0)
    image = read_image(files[index])
    window = _window(image, patch)
    file = jpeg.degrade(image, int(drawn[0, index]))
    np.testing.assert_array_equal(damaged[0], file[window])
    np.testing.assert_array_equal(true[0], image[window])


def test_pairs_are_a_function_of_seed_and_step(files):
    whole = _take(files, 6)
    for one, other in zip(whole[4:], _take(files, 2, first_step=4)):
        np.testing.assert_array_equal(one, other)


def test_workers_and_devices_share_a_batch(files):
    whole = _take(files, 2)
    parts = [_take(files, 4, shard=shard, shards=2, replicas=2) for shard in (0, 1)]
    for step in range(2):
        tiles = [parts[shard][2 * step + replica] for shard in (0, 1) for replica in (0, 1)]
        for side in (0, 1):
            joined = np.concatenate([piece[side] for piece in tiles])
            np.testing.assert_array_equal(joined, whole[step][side])


def test_a_batch_that_devices_cannot_share_is_refused(files):
    with pytest.raises(ValueError, match="a batch of 4 cannot be shared by 3 devices"):
        lattice_patches(files, OPTIONS, Schedule(4, 1, shards=3))


def test_images_smaller_than_a_patch_are_refused(files):
    with pytest.raises(ValueError, match="no image is as large as a patch"):
        Lattice(files, LatticeOptions(size=500))


def test_a_range_of_qualities_does_not_fall():
    for wrong in (9, 101):
        with pytest.raises(ValueError, match=f"best_quality must be in 10 .* got {wrong}"):
            dataclasses.replace(OPTIONS, best_quality=wrong)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"stride": 0}, {"channels": 2}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        LatticeOptions(**wrong)


def test_degrading_does_not_depend_on_the_memory_limit(files):
    kept = _take(files, 3)
    small = lattice_patches(files, LatticeOptions(16, 15, 10, 3, cache_mb=0), Schedule(4, 3))
    for one, other in zip(kept, small.take(3)):
        np.testing.assert_array_equal(one, [side.numpy() for side in other])


def test_files_that_say_nothing_of_their_size_are_errors(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ImageError, match="the file is empty"):
        Lattice([str(tmp_path / "a.png")], OPTIONS)


def test_a_png_with_a_jpeg_inside_is_read_by_its_content(tmp_path, images):
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "JPEG", quality=30)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    assert jpeg.nearest_quality(decode_image(tmp_path / "a.png").coding.tables[0]) == 30
