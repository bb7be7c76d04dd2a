"""Kinds of files: right pixels or a name for what is not read; metadata do not decide."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from image_bytes import ADOBE, bmp, chunk, gray_profile, png, rgb_profile, tiff
from PIL import ExifTags, Image, ImageCms

from lossylab.core.errors import ImageError
from lossylab.data import decode
from lossylab.data.decode import decode_image, read_image, stored_size
from lossylab.data.formats import containers, profiles

ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(decode, "_said", set())


@pytest.fixture
def write(tmp_path):
    """Writes bytes as a file and gives its path."""

    def written(data, name="image"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return written


def _samples(random, channels, depth, high=None):
    return random.integers(0, high or 2**depth, (7, 13, channels))


def _gray(samples, depth):
    """Gray samples in 8 bits."""
    return np.rint(samples * 255.0 / (2**depth - 1)).astype(int)


# Metadata must not decide whether pixels may be read.


def _metadata():
    headless = b"\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    return {
        "exif without its header": [(b"eXIf", headless)],
        "exif of noise": [(b"eXIf", bytes(range(200)))],
        "long text": [(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000))],
        "text that is no text": [(b"iTXt", b"\xff\xfe"), (b"tEXt", b"")],
        "profile of noise": [(b"iCCP", b"icc\0\0" + zlib.compress(bytes(range(200))))],
        "profile that is no stream": [(b"iCCP", b"icc\0\0\xff\xff\xff\xff")],
        "sizes that are none": [(b"pHYs", b"\0"), (b"gAMA", b""), (b"sRGB", b""), (b"cHRM", b"")],
        "animation control": [(b"acTL", b"\0")],
        "unknown": [(b"vpAg", b"\0\0\0\1")],
    }


@pytest.mark.parametrize("what", _metadata())
@pytest.mark.parametrize("after", [False, True])
def test_damaged_chunks_beside_a_pngs_pixels_are_passed_over(what, after, write, random):
    image = _samples(random, 3, 8)
    chunks = _metadata()[what]
    path = write(png(image, 8, 2, after=chunks) if after else png(image, 8, 2, before=chunks))
    np.testing.assert_array_equal(read_image(path), image)
    assert stored_size(path) == (7, 13)


def _spoiled(data, kind):
    """A PNG file whose chunk has another checksum."""
    place = data.index(kind)
    (length,) = struct.unpack(">I", data[place - 4 : place])
    end = place + 4 + length
    return data[:end] + b"\xde\xad\xbe\xef" + data[end + 4 :]


@pytest.mark.parametrize("kind", [b"tEXt", b"IEND"])
def test_a_wrong_checksum_beside_the_pixels_is_said(kind, write, random, caplog):
    image = _samples(random, 3, 8)
    path = write(_spoiled(png(image, 8, 2, before=[(b"tEXt", b"a\0b")]), kind))
    np.testing.assert_array_equal(read_image(path), image)
    assert f"{path}: the file has a damaged {kind.decode()} chunk" in caplog.text


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
def test_a_wrong_checksum_of_the_pixels_is_an_error(kind, write, random):
    palette = _samples(random, 3, 8).astype(np.uint8).tobytes()[:48]
    before = [(b"PLTE", palette), (b"tRNS", b"\0\1\2")]
    path = write(_spoiled(png(_samples(random, 1, 4)[..., 0], 4, 3, before), kind))
    with pytest.raises(ImageError, match=f"damaged.*checksum of its {kind.decode()} chunk"):
        read_image(path)


@pytest.mark.parametrize("kind", [b"PLTE", b"tRNS", b"IDAT"])
def test_a_damaged_name_of_a_chunk_does_not_take_it_away(kind, write, random):
    palette = _samples(random, 3, 8).astype(np.uint8).tobytes()[:48]
    data = png(_samples(random, 1, 4)[..., 0], 4, 3, [(b"PLTE", palette), (b"tRNS", b"\0")])
    with pytest.raises(ImageError, match="a damaged chunk of no known kind"):
        read_image(write(data.replace(kind, b"zz" + kind[2:])))


@pytest.mark.parametrize("missing", [1, 4, 8, 12, 13, 16])
def test_a_png_without_its_end_is_read_if_its_pixels_are_whole(missing, write, random, caplog):
    image = _samples(random, 3, 8)
    data = png(image, 8, 2)
    path = write(data[: len(data) - missing])
    np.testing.assert_array_equal(read_image(path), image)
    assert "has no end marker" in caplog.text


@pytest.mark.parametrize("missing", [17, 20, 60])
def test_a_png_without_some_pixels_is_damaged(missing, write, random):
    data = png(_samples(random, 3, 8), 8, 2)
    with pytest.raises(ImageError, match="damaged"):
        read_image(write(data[: len(data) - missing]))


def _jpeg(image, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()


_JPEGS = [
    {"quality": 90},
    {"quality": 100, "subsampling": 0},
    {"quality": 50, "progressive": True},
    {"quality": 75, "restart_marker_blocks": 3},
    {"quality": 75, "optimize": True},
]


@pytest.mark.parametrize("options", _JPEGS, ids=str)
@pytest.mark.parametrize("tail", [b"", b"\xff", b"\xff" * 10])
def test_a_jpeg_without_its_end_is_read_if_its_pixels_are_whole(options, tail, write, images):
    data = _jpeg(images[0], **options)
    whole, cut = write(data, "whole.jpg"), write(data[:-2] + tail, "cut.jpg")
    np.testing.assert_array_equal(read_image(cut), read_image(whole))


@pytest.mark.parametrize("options", _JPEGS, ids=str)
def test_a_jpeg_without_some_pixels_is_damaged(options, write, images):
    data = _jpeg(images[0], **options)
    for missing in (4, 5, 6, 10, 100, 1000):
        with pytest.raises(ImageError, match="damaged"):
            read_image(write(data[:-missing], "cut.jpg"))


def test_a_progressive_jpeg_that_ends_between_scans_is_damaged(write, images):
    data = _jpeg(images[0], progressive=True)
    last = data.rindex(b"\xff\xda")
    assert containers.bare_jpeg(data).complete
    assert not containers.bare_jpeg(data[:last]).complete
    with pytest.raises(ImageError, match="its pixels end too early"):
        read_image(write(data[:last], "cut.jpg"))


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "png"])
def test_orientation_that_is_none_is_passed_over(suffix, write, images):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(images[0]).save(
        file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), exif=exif, **options
    )
    assert decode_image(write(file.getvalue())).upright


def test_segments_of_noise_beside_a_jpegs_pixels_are_passed_over(write, images):
    data = _jpeg(images[0])
    noise = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", 2 + len(body)) + body
        for marker, body in [
            (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
            (0xE1, b"Exif\0\0"),
            (0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
            (0xE2, b"ICC_PROFILE\0\7\1abc"),
            (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff"),
            (0xFE, b"\xff\xfe\0"),
        ]
    )
    whole, noisy = write(data, "whole.jpg"), write(data[:2] + noise + data[2:], "noisy.jpg")
    np.testing.assert_array_equal(read_image(noisy), read_image(whole))


# Raw modes.


@pytest.mark.parametrize(
    ("depth", "photometric", "order", "deflate"),
    [*itertools.product((1, 2, 4, 8), (0, 1), "<>", (False, True))],
)
def test_gray_tiff_of_up_to_8_bits(depth, photometric, order, deflate, write, random):
    samples = _samples(random, 1, depth)
    path = write(tiff(samples, depth, photometric, order=order, deflate=deflate))
    shown = samples if photometric else 2**depth - 1 - samples
    decoded = decode_image(path).pixels
    np.testing.assert_array_equal(decoded, _gray(shown, depth))


@pytest.mark.parametrize(("depth", "order"), [*itertools.product((1, 2, 4, 8), "<>")])
def test_tiff_with_a_palette(depth, order, write, random):
    samples, palette = _samples(random, 1, depth), random.integers(0, 65536, (3, 2**depth))
    more = [(320, 3, palette.ravel().tolist())]
    path = write(tiff(samples, depth, 3, order=order, more=more))
    np.testing.assert_array_equal(read_image(path), (palette >> 8).T[samples[..., 0]])


@pytest.mark.parametrize(
    ("planar", "order", "deflate"), [*itertools.product((1, 2), "<>", (False, True))]
)
def test_rgb_tiff(planar, order, deflate, write, random):
    samples = _samples(random, 3, 8)
    path = write(tiff(samples, 8, 2, planar=planar, order=order, deflate=deflate))
    np.testing.assert_array_equal(read_image(path), samples)


@pytest.mark.parametrize(("order", "deflate"), [*itertools.product("<>", (False, True))])
def test_rgb_tiff_of_16_bits_keeps_the_high_byte(order, deflate, write, random, caplog):
    samples = _samples(random, 3, 16)
    path = write(tiff(samples, 16, 2, order=order, deflate=deflate))
    np.testing.assert_array_equal(read_image(path), samples >> 8)
    assert "16 bits a sample are reduced to 8" in caplog.text


@pytest.mark.parametrize(("order", "deflate"), [*itertools.product("<>", (False, True))])
def test_gray_tiff_of_16_bits(order, deflate, write, random):
    samples = _samples(random, 1, 16)
    path = write(tiff(samples, 16, 1, order=order, deflate=deflate))
    np.testing.assert_array_equal(decode_image(path).pixels, np.rint(samples / 257))


@pytest.mark.parametrize("planar", [1, 2])
def test_transparency_of_tiff(planar, write, random):
    samples = _samples(random, 4, 8)
    samples[..., 3] = 255 * (samples[..., 3] > 100)
    path = write(tiff(samples, 8, 2, planar=planar, more=[(338, 3, [2])]))
    shown = np.where(samples[..., 3:] > 0, samples[..., :3], 255)
    np.testing.assert_array_equal(read_image(path), shown)


def test_gray_with_transparency_stays_gray(write, random):
    samples = _samples(random, 2, 8)
    samples[..., 1] = 255 * (samples[..., 1] > 100)
    path = write(tiff(samples, 8, 1, more=[(338, 3, [2])]))
    shown = np.where(samples[..., 1:] > 0, samples[..., :1], 255)
    np.testing.assert_array_equal(decode_image(path).pixels, shown)


# What Pillow gives pixels for, and wrong ones.
_REFUSED = {
    "RGB, 3 x 16 bits in separate planes": (3, 16, 2, {"planar": 2}),
    "RGB, 4 x 16 bits in separate planes": (4, 16, 2, {"planar": 2, "more": [(338, 3, [2])]}),
    "CMYK, 4 x 16 bits in separate planes": (4, 16, 5, {"planar": 2}),
    "gray, 0 is white, 1 x 16 bits": (1, 16, 0, {}),
    "gray, 1 x 8 bits signed": (1, 8, 1, {"kind": 2}),
    "gray, 1 x 16 bits signed": (1, 16, 1, {"kind": 2, "order": ">", "deflate": True}),
    "gray, 1 x 32 bits signed": (1, 32, 1, {"kind": 2, "order": ">", "deflate": True}),
    "gray, 2 x 8 bits in separate planes": (2, 8, 1, {"planar": 2, "more": [(338, 3, [2])]}),
}


@pytest.mark.parametrize("kind", _REFUSED)
def test_tiff_that_is_not_read_right_is_refused_by_name(kind, write, random):
    channels, depth, photometric, options = _REFUSED[kind]
    path = write(tiff(_samples(random, channels, min(depth, 7)), depth, photometric, **options))
    with pytest.raises(ImageError, match=rf"TIFF of this kind is not read \({kind}\): convert it"):
        read_image(path)


@pytest.mark.parametrize(
    ("color_type", "channels", "depths"),
    [
        (0, 1, (1, 2, 4, 8, 16)),
        (2, 3, (8, 16)),
        (4, 2, (8, 16)),
        (6, 4, (8, 16)),
    ],
)
def test_every_kind_of_png(color_type, channels, depths, write, random):
    for depth in depths:
        samples = _samples(random, channels, depth)
        if channels in (2, 4):
            samples[..., -1] = 2**depth - 1
        decoded = decode_image(write(png(samples, depth, color_type))).pixels
        color = samples[..., : 1 if channels < 3 else 3]
        expected = color >> 8 if depth == 16 and channels > 1 else _gray(color, depth)
        np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_gray_of_a_png_becomes_white(depth, write, random):
    samples = _samples(random, 1, depth)
    key = int(samples[3, 4, 0])
    path = write(png(samples, depth, 0, before=[(b"tRNS", struct.pack(">H", key))]))
    expected = np.where(samples == key, 255, _gray(samples, depth))
    np.testing.assert_array_equal(decode_image(path).pixels, expected)


def test_a_transparent_color_of_16_bits_is_refused_by_name(write, random):
    samples = _samples(random, 3, 16)
    path = write(png(samples, 16, 2, before=[(b"tRNS", bytes(6))]))
    with pytest.raises(ImageError, match="16-bit RGB with a transparent color is not read"):
        read_image(path)


MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def test_bmp_whose_transparency_is_0_everywhere_is_opaque(write, random, caplog):
    samples = _samples(random, 4, 8).astype(np.uint8)
    samples[..., 3] = 0
    np.testing.assert_array_equal(read_image(write(bmp(samples, MASKS))), samples[..., :3])
    assert "its transparency is 0 everywhere, which is taken as opaque" in caplog.text
    samples[2, 3, 3] = 255
    shown = np.where(samples[..., 3:] > 0, samples[..., :3], 255)
    np.testing.assert_array_equal(read_image(write(bmp(samples, MASKS))), shown)


def test_bmp_without_transparency(write, random):
    for channels in (3, 4):
        samples = _samples(random, channels, 8).astype(np.uint8)
        np.testing.assert_array_equal(read_image(write(bmp(samples))), samples[..., :3])


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\xff\x0a\0\0\0\0\0\0", "JPEG XL files are not read"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "HEIF files are not read"),
        (b"%PDF-1.4\n", "PDF files are not read"),
        (b"\x93NUMPY\1\0", "NumPy files are not read"),
        (b"  <svg xmlns=", "SVG files are not read"),
        (
            b"\xff\xd8\xff\xc1\0\x11\x0c\0\x10\0\x10\3\1\x11\0\2\x11\0\3\x11\0",
            "JPEG of 12 bits a sample",
        ),
        (
            b"\xff\xd8\xff\xe0\0\4ab\xff\xc3\0\x0b\x08\0\x10\0\x10\1\1\x11\0",
            "lossless JPEG is not read",
        ),
    ],
)
def test_known_kinds_that_are_not_read_are_named(head, said, write):
    path = write(head)
    with pytest.raises(ImageError, match=said):
        read_image(path)
    if said != "lossless JPEG is not read":  # Pillow opens it, and cannot go on
        with pytest.raises(ImageError, match=said):
            stored_size(path)


# Colors.


def _profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _saved(write, image, suffix, profile, **options):
    file = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix)
    Image.fromarray(image).save(file, kind, icc_profile=profile, **options)
    return write(file.getvalue())


_LOSSLESS = {"png": {}, "tif": {}, "webp": {"lossless": True, "exact": True}}


@pytest.mark.parametrize("suffix", [*_LOSSLESS, "jpg"])
def test_colors_are_converted_by_the_files_profile(suffix, write, caplog):
    image = np.full((16, 16, 3), (220, 40, 40), np.uint8)
    options = _LOSSLESS.get(suffix, {"quality": 100, "subsampling": 0})
    path = _saved(write, image, suffix, rgb_profile(ADOBE, 563 / 256), **options)
    expected = np.broadcast_to((255, 35, 35), image.shape)
    np.testing.assert_allclose(read_image(path), expected, atol=2 if suffix == "jpg" else 1)
    read_image(path)
    assert caplog.text.count("its colors are converted to sRGB by its profile") == 1


def test_profiles_of_srgb_change_nothing(write, random, caplog):
    image = _samples(random, 3, 8).astype(np.uint8)
    path = _saved(write, image, "png", _profile())
    np.testing.assert_array_equal(read_image(path), image)
    assert not caplog.text


def test_transparent_colors_are_converted_too(write):
    image = np.zeros((4, 4, 4), np.uint8)
    image[..., :3], image[:2, :, 3] = (220, 40, 40), 255
    decoded = read_image(_saved(write, image, "png", rgb_profile(ADOBE, 563 / 256)))
    np.testing.assert_allclose(decoded[0, 0], (255, 35, 35), atol=1)
    assert decoded[3, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("depth", [8, 16])
def test_gray_is_converted_by_the_files_profile_and_stays_gray(depth, write):
    levels = np.linspace(0, 2**depth - 1, 256).astype(int).reshape(16, 16)
    profile = b"icc\0\0" + zlib.compress(gray_profile(1.0))
    path = write(png(levels, depth, 0, before=[(b"iCCP", profile)]))
    linear = levels / (2**depth - 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    decoded = decode_image(path).pixels
    assert decoded.shape == (16, 16, 1)
    np.testing.assert_allclose(decoded[..., 0], 255 * srgb, atol=1 if depth == 8 else 4)


def test_a_profile_may_be_kept(write, random):
    image = _samples(random, 3, 8).astype(np.uint8)
    profile = rgb_profile(ADOBE, 563 / 256)
    decoded = decode_image(_saved(write, image, "png", profile), keep_profile=True)
    np.testing.assert_array_equal(decoded.pixels, image)
    assert decoded.profile == profile
    assert decode_image(_saved(write, image, "png", _profile()), keep_profile=True).profile is None


@pytest.mark.parametrize("length", [100, 65519, 65520, 200_000])
def test_a_profile_of_any_length_goes_into_a_jpeg(length, images):
    profile = np.random.default_rng(1).bytes(length)
    data = _jpeg(images[0])
    with Image.open(io.BytesIO(containers.jpeg_with_profile(data, profile))) as found:
        assert found.info["icc_profile"] == profile
        np.testing.assert_array_equal(found, Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("profile", [b"", b"no profile", _profile()[:200], gray_profile(1.0)])
def test_profiles_that_do_not_fit_are_passed_over(profile, write, random):
    image = _samples(random, 3, 8).astype(np.uint8)
    np.testing.assert_array_equal(read_image(_saved(write, image, "png", profile)), image)


def test_profiles_for_other_images_are_errors():
    with pytest.raises(profiles.ProfileError, match="it is for GRAY, the image is RGB"):
        profiles.to_srgb(gray_profile(1.0), "RGB")
    with pytest.raises(profiles.ProfileError, match="damaged"):
        profiles.to_srgb(b"nothing", "L")


# What is lost is said once.


def test_what_is_lost_is_said_once_for_each_kind(write, random, caplog):
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "lime")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    samples = _samples(random, 4, 8)
    paths = [
        write(file.getvalue(), "a.gif"),
        write(png(samples, 8, 6), "b.png"),
        write(png(_samples(random, 1, 16), 16, 0), "c.png"),
    ]
    for path in [*paths, *paths]:
        read_image(path)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"{paths[0]}: it has several frames or pages, of which the first counts (said once)",
        f"{paths[1]}: its transparency is laid over white (said once)",
        f"{paths[2]}: 16 bits a sample are reduced to 8 (said once)",
    ]


def test_colors_that_only_exif_data_name_are_said(write, images, caplog):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[0xA005] = {1: "R03"}
    plain, named = write(_jpeg(images[0]), "a.jpg"), write(_jpeg(images[0], exif=exif), "b.jpg")
    np.testing.assert_array_equal(read_image(plain), read_image(named))
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{named}: it says Adobe RGB and has no profile: taken as sRGB (said once)"]


def test_opaque_images_have_nothing_to_say(write, random, caplog):
    samples = _samples(random, 4, 8)
    samples[..., 3] = 255
    read_image(write(png(samples, 8, 6)))
    assert not caplog.records


# Sizes.


def test_too_large_images_are_refused_by_their_headers(write):
    small = png(np.zeros((4, 4), int), 1, 0)
    header = struct.pack(">IIBBBBB", 13376, 13376, 1, 0, 0, 0, 0)
    path = write(small[:8] + chunk(b"IHDR", header) + small[33:] + bytes(21_000))
    with pytest.raises(ImageError, match=r"too large to decode safely \(13376x13376 pixels in "):
        read_image(path)
    with pytest.raises(ImageError, match="too large to decode safely"):
        stored_size(path)


def test_more_pixels_than_are_asked_for_are_refused(write, random):
    path = write(png(_samples(random, 3, 8), 8, 2))
    with pytest.raises(ImageError, match="an image of 13x7 pixels is too large, limit 90"):
        decode_image(path, max_pixels=90)
    assert decode_image(path, max_pixels=91).pixels.shape == (7, 13, 3)


def test_a_jpeg_of_a_thousand_scans_is_refused(write, images, monkeypatch):
    data = _jpeg(images[0], progressive=True)
    place = data.rindex(b"\xff\xda")
    monkeypatch.setattr(containers, "_MOST_WORK", 1000)
    with pytest.raises(ImageError, match="so many scans that decoding never ends"):
        read_image(write(data[:-2] + 100 * data[place:-2] + b"\xff\xd9", "scans.jpg"))


def test_large_images_are_converted_in_strips(write, random, monkeypatch):
    samples = _samples(random, 4, 8)
    path = write(png(samples, 8, 6))
    whole = read_image(path)
    monkeypatch.setattr("lossylab.data.formats.planes._STRIP", 30)
    np.testing.assert_array_equal(read_image(path), whole)


@pytest.mark.parametrize("error", [MemoryError(), MemoryError("no")])
def test_too_little_memory_is_named(error, write, random, monkeypatch):
    path = write(png(_samples(random, 3, 8), 8, 2))

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match="not enough memory to decode it"):
        read_image(path)
