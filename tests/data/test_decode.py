"""Decoding: every kind of image file becomes 8-bit RGB, every bad one a ImageError."""

import contextlib
import os
import struct
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from lossylab.core.errors import ImageError
from lossylab.data import decode
from lossylab.data.decode import read_image, smaller_side

ORIENTATION = 0x0112  # of EXIF
READERS = pytest.mark.parametrize("read", [read_image, smaller_side])

# What a viewer shows of the stored rows and columns, by EXIF orientation.
SHOWN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}

few = hypothesis.settings(max_examples=25, deadline=None, database=None, derandomize=True)
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def _levels(random, *shape):
    return random.integers(0, 256, shape, dtype=np.uint8)


def _over_white(color, alpha):
    color, alpha = color.astype(np.float64), alpha.astype(np.float64)[..., None]
    return (color * alpha + 255 * (255 - alpha)) / 255


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that Hypothesis may use for every example."""
    return tmp_path_factory.mktemp("decode")


@few
@hypothesis.given(
    arrays.arrays(np.uint8, shapes.map(lambda shape: (*shape, 3))),
    st.sampled_from(["png", "bmp", "tif", "ppm", "webp"]),
)
def test_lossless_files_give_back_the_image_that_was_written(folder, image, suffix):
    path = folder / f"rgb.{suffix}"
    Image.fromarray(image).save(path, **({"lossless": True} if suffix == "webp" else {}))
    decoded = read_image(path)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, image)
    assert smaller_side(path) == min(image.shape[:2])


@few
@hypothesis.given(arrays.arrays(np.uint8, shapes), st.sampled_from(["png", "pgm", "tif"]))
def test_gray_is_repeated_in_all_three_channels(folder, gray, suffix):
    path = folder / f"gray.{suffix}"
    Image.fromarray(gray).save(path)
    np.testing.assert_array_equal(read_image(path), np.repeat(gray[..., None], 3, -1))


def test_path_may_be_text_and_the_result_may_be_written_to(tmp_path, random):
    image = _levels(random, 4, 5, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    decoded = read_image(str(tmp_path / "a.png"))
    decoded[0, 0] = 7
    assert smaller_side(str(tmp_path / "a.png")) == 4


def test_one_bit_gives_black_and_white(tmp_path, random):
    bits = random.integers(0, 2, (7, 11)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "bits.png")
    with Image.open(tmp_path / "bits.png") as image:
        assert image.mode == "1"
    expected = np.repeat(np.where(bits, 255, 0)[..., None], 3, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png"), expected)


def _palette_image(random):
    palette, index = _levels(random, 256, 3), _levels(random, 9, 13)
    image = Image.fromarray(index)  # mode L, which putpalette turns into P
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    return image, palette, index


def test_palette_is_looked_up(tmp_path, random):
    image, palette, index = _palette_image(random)
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), palette[index])


def test_transparent_palette_entries_are_laid_over_white(tmp_path, random):
    image, palette, index = _palette_image(random)
    alpha = _levels(random, 256)
    alpha[index[0, :3]] = 0, 128, 255
    image.save(tmp_path / "palette.png", transparency=alpha.tobytes())
    decoded = read_image(tmp_path / "palette.png")
    np.testing.assert_allclose(decoded, _over_white(palette[index], alpha[index]), atol=1)
    assert decoded[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(decoded[0, 2], palette[index[0, 2]])


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_transparency_is_laid_over_white(channels, suffix, tmp_path, random):
    stored = _levels(random, 8, 9, channels)
    stored[0, :3, -1] = 0, 128, 255
    Image.fromarray(stored).save(tmp_path / f"alpha.{suffix}")
    with Image.open(tmp_path / f"alpha.{suffix}") as image:
        assert image.mode == {2: "LA", 4: "RGBA"}[channels]
    decoded = read_image(tmp_path / f"alpha.{suffix}")
    color = np.broadcast_to(stored[..., :-1], (8, 9, 3))
    np.testing.assert_allclose(decoded, _over_white(color, stored[..., -1]), atol=1)
    assert decoded[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(decoded[0, 2], color[0, 2])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_transparent_color_becomes_white(channels, tmp_path, random):
    stored = _levels(random, 6, 7, channels) // 2
    stored[2, 3] = np.arange(200, 200 + channels)
    key = stored[2, 3].tolist()
    image = Image.fromarray(stored if channels == 3 else stored[..., 0])
    image.save(tmp_path / "key.png", transparency=tuple(key) if channels == 3 else key[0])
    expected = np.broadcast_to(stored, (6, 7, 3)).copy()
    expected[2, 3] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "key.png"), expected)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_ink_on_white(suffix, tmp_path):
    inks = np.array([(0, 0, 0, 0), (0, 0, 0, 255), (200, 40, 0, 50), (0, 120, 255, 100)], np.uint8)
    flat = np.repeat(np.repeat(inks[None], 16, 1), 16, 0)
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    Image.frombytes("CMYK", flat.shape[1::-1], flat.tobytes()).save(
        tmp_path / f"ink.{suffix}", **options
    )
    with Image.open(tmp_path / f"ink.{suffix}") as image:
        assert image.mode == "CMYK"
    light = 255.0 - flat
    np.testing.assert_allclose(
        read_image(tmp_path / f"ink.{suffix}"), light[..., :3] * light[..., 3:] / 255, atol=2
    )


@pytest.mark.parametrize(("suffix", "mode"), [("png", "I;16"), ("tif", "I;16"), ("tif", "I;16B")])
def test_all_16_bit_gray_levels_are_divided_by_257_and_rounded(suffix, mode, tmp_path):
    levels = np.arange(65536).reshape(256, 256)
    data = levels.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    Image.frombytes(mode, (256, 256), data).save(tmp_path / f"deep.{suffix}")
    with Image.open(tmp_path / f"deep.{suffix}") as image:
        assert image.mode == mode
    expected = np.repeat(np.round(levels / 257)[..., None], 3, -1)  # 257 is odd: no ties
    np.testing.assert_array_equal(read_image(tmp_path / f"deep.{suffix}"), expected)


def test_transparent_level_of_16_bit_gray_becomes_white(tmp_path):
    levels = np.full((4, 5), 1000, np.uint16)
    levels[1, 2] = 30000
    Image.fromarray(levels).save(tmp_path / "deep.png", transparency=30000)
    decoded = read_image(tmp_path / "deep.png")
    assert decoded[1, 2].tolist() == [255, 255, 255]
    assert decoded[0, 0].tolist() == [4, 4, 4]


def _png(width, height, depth, color_type, rows):
    """A PNG by the specification: Pillow cannot write 16 bits a channel."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_16_bit_rgb_keeps_the_high_byte(tmp_path, random):
    levels = random.integers(0, 65536, (5, 6, 3))
    rows = [row.astype(">u2").tobytes() for row in levels]
    (tmp_path / "deep.png").write_bytes(_png(6, 5, 16, 2, rows))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), levels >> 8)


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_exif_orientation_is_applied(orientation, suffix, tmp_path, random):
    stored = _levels(random, 5, 8, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(stored).save(tmp_path / f"turned.{suffix}", exif=exif, **options)
    shown = SHOWN[orientation](stored)
    np.testing.assert_array_equal(read_image(tmp_path / f"turned.{suffix}"), shown)


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_smaller_side_agrees_with_what_is_read(suffix, orientation, tmp_path, random):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(_levels(random, 5, 8, 3)).save(path, exif=exif)
    assert read_image(path).shape[:2] == ((8, 5) if orientation > 4 else (5, 8))
    assert smaller_side(path) == min(read_image(path).shape[:2])


def test_jpeg_orientation_is_applied(tmp_path):
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :16] = 255  # the stored top left quarter
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(stored).save(tmp_path / "turned.jpg", quality=100, exif=exif)
    np.testing.assert_allclose(read_image(tmp_path / "turned.jpg"), np.rot90(stored, -1), atol=2)


def test_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 3
    expected = np.broadcast_to(np.array([255, 0, 0]), (4, 6, 3))
    np.testing.assert_array_equal(read_image(tmp_path / "film.gif"), expected)


@READERS
def test_missing_file_is_named(read, tmp_path):
    with pytest.raises(ImageError, match=r"/nothing\.png: no such file$"):
        read(tmp_path / "nothing.png")


@READERS
def test_path_below_a_file_is_missing(read, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageError, match=r"file/a\.png: no such file$"):
        read(tmp_path / "file" / "a.png")


@READERS
def test_path_too_long_for_the_system_is_refused(read, tmp_path):
    with pytest.raises(ImageError, match="aaa"):
        read(tmp_path / ("a" * 300))


@READERS
def test_empty_file_is_named(read, tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"/empty\.png: the file is empty$"):
        read(tmp_path / "empty.png")


@READERS
def test_folder_is_refused(read, tmp_path):
    with pytest.raises(ImageError, match=f"^{tmp_path}: expected an image file, found a folder"):
        read(tmp_path)


@READERS
def test_text_with_a_image_name_is_refused(read, tmp_path):
    (tmp_path / "text.png").write_text("Once upon a time there was a file.")
    with pytest.raises(ImageError, match=r"/text\.png: not an image in a known format$"):
        read(tmp_path / "text.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_file_is_called_damaged(suffix, share, tmp_path, random):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(_levels(random, 64, 64, 3)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=rf"/cut\.{suffix}: cannot be decoded, is it damaged\?"):
        read_image(path)


@few
@hypothesis.given(st.data())
def test_damage_of_any_kind_never_gives_another_error(folder, data):
    suffix = data.draw(st.sampled_from(["png", "jpg", "gif", "tif", "bmp", "webp"]))
    path = folder / f"damaged.{suffix}"
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(ImageError):  # any other error fails the test
        decoded = read_image(path)
        assert decoded.dtype == np.uint8
        assert decoded.ndim == 3
        assert decoded.shape[2] == 3


@READERS
def test_decompression_bomb_is_refused(read, tmp_path, monkeypatch):
    Image.new("RGB", (7, 3)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow refuses twice this many
    with pytest.raises(ImageError, match=r"/bomb\.png: refused, too large to decode safely"):
        read(tmp_path / "bomb.png")


@READERS
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_read_permission_is_named(read, tmp_path):
    Image.new("RGB", (7, 3)).save(tmp_path / "closed.png")
    (tmp_path / "closed.png").chmod(0)
    with pytest.raises(ImageError, match=r"/closed\.png: no permission to read it$"):
        read(tmp_path / "closed.png")


@READERS
def test_refused_permission_is_named(read, tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    Image.new("RGB", (7, 3)).save(tmp_path / "closed.png")
    monkeypatch.setattr(decode, "open", refuse, raising=False)
    with pytest.raises(ImageError, match=r"/closed\.png: no permission to read it$"):
        read(tmp_path / "closed.png")


@pytest.mark.parametrize(("mode", "size"), [("F", 4), ("LAB", 3)])
def test_unsupported_mode_is_named(mode, size, tmp_path):
    Image.frombytes(mode, (5, 4), bytes(20 * size)).save(tmp_path / "odd.tif")
    text = rf"/odd\.tif: unsupported image mode {mode}; convert it to 8-bit RGB first$"
    with pytest.raises(ImageError, match=text):
        read_image(tmp_path / "odd.tif")


@pytest.mark.parametrize("level", [-1, 65536])
def test_integer_levels_beyond_16_bits_are_refused(level, tmp_path):
    Image.fromarray(np.full((4, 5), level, np.int32)).save(tmp_path / "deep.tif")
    text = r"/deep\.tif: integer values outside 0\.\.65535 \(Pillow mode I\)$"
    with pytest.raises(ImageError, match=text):
        read_image(tmp_path / "deep.tif")


@READERS
def test_the_cause_of_an_error_is_kept(read, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "text.png")
    assert type(caught.value.__cause__).__name__ == "UnidentifiedImageError"
