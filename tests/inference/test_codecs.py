"""Classical codecs: round trips, golden bytes and scores, streams, and what goes wrong."""

import contextlib
import dataclasses
import io
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image, features
from scipy import ndimage

from lossylab.core.digest import digest
from lossylab.core.errors import CodecError, FFmpegError
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.eval.metrics import vmaf
from lossylab.eval.rd import CLASSICAL
from lossylab.inference.codecs.base import HIGHEST_BPP, LOWEST_BPP, EncodedFile
from lossylab.inference.codecs.classical import Hevc, Jpeg, Jpeg2000
from lossylab.inference.codecs.formats import FORMATS
from lossylab.inference.codecs.other_jpegs import OTHERS

GOLDEN = json.loads(
    (pathlib.Path(__file__).parent.parent / "golden" / "classical_kodak.json").read_text()
)
# Those that everybody has; Pillow may be built without AVIF.
LACKING = {*OTHERS, "jpegxl", *(() if features.check("avif") else ("avif444", "avif420"))}
CODECS = {name: make() for name, make in CLASSICAL.items() if name not in LACKING}
HEVC = {name: codec for name, codec in CODECS.items() if isinstance(codec, Hevc)}
EVERY_CODEC = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
EVERY_HEVC = pytest.mark.parametrize("codec", HEVC.values(), ids=HEVC)
MIDDLE = {
    **{"jpeg": "50", "jpeg_optimized": "50", "jpeg2000": "20.3258"},
    **{"webp": "60", "avif444": "55", "avif420": "55"},
}  # HEVC: see _middle


def _middle(codec):
    return MIDDLE.get(codec.name, "32")


def _changed(file, data):
    """A file of other bytes, or of a slice of its own."""
    data = file.data[data] if isinstance(data, slice) else bytes(data)
    return dataclasses.replace(file, data=data)


def _psnr(one, other):
    error = np.mean((one.astype(float) - other) ** 2)
    return 10 * np.log10(255**2 / error) if error else np.inf


@pytest.fixture(scope="module")
def smooth():
    """A color image [96, 128, 3] without edges, which every codec should code well."""
    fields = np.random.default_rng(5).normal(size=(96, 128, 3))
    return np.clip(128 + 700 * ndimage.gaussian_filter(fields, (6, 6, 0)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def coded(images):
    """The first small image by every codec at a middle setting."""
    return {name: codec.encode(images[0], _middle(codec)) for name, codec in CODECS.items()}


# What is true of every codec.


@EVERY_CODEC
def test_names_are_those_of_the_command(codec):
    assert CODECS[codec.name] is codec
    assert len(set(codec.settings)) == len(codec.settings) > 1


@EVERY_CODEC
def test_decoding_gives_a_image_like_the_original(codec, smooth, coded, images):
    file = codec.encode(smooth, _middle(codec))
    assert isinstance(file.data, bytes)
    assert (file.height, file.width) == smooth.shape[:2]
    assert np.isnan(file.bits)
    decoded = codec.decode(file, _middle(codec))
    assert decoded.dtype == np.uint8
    assert decoded.shape == smooth.shape
    assert _psnr(smooth, decoded) > 34
    assert len(file.data) < smooth.size / 10
    decoded = codec.decode(coded[codec.name], _middle(codec))
    assert decoded.shape == images[0].shape
    assert _psnr(images[0], decoded) > 26


@EVERY_CODEC
def test_settings_go_from_low_to_high_rate_and_quality(codec, images):
    count = len(codec.settings)
    settings = [codec.settings[i] for i in (0, count // 3, 2 * count // 3, count - 1)]
    files = [codec.encode(images[1], setting) for setting in settings]
    assert (np.diff([len(file.data) for file in files]) > 0).all()
    quality = [_psnr(images[1], codec.decode(*pair)) for pair in zip(files, settings)]
    assert (np.diff(quality) > 0).all()


@EVERY_CODEC
def test_settings_cover_the_range_of_rates(codec, images):
    pixels = images[2][..., 0].size
    low, high = (
        8 * len(codec.encode(images[2], codec.settings[end]).data) / pixels for end in (0, -1)
    )
    # Standard Huffman tables alone, and all headers on a small image, cost more than the least.
    least = 0.2 if codec.name in FORMATS else 1.6 * LOWEST_BPP
    assert low < (0.6 if isinstance(codec, Jpeg) else least)
    if codec.name != "webp":  # whose finest steps end below where an image is as smooth as this
        assert high > 0.98 * HIGHEST_BPP


@EVERY_CODEC
def test_the_same_image_gives_the_same_bytes(codec, coded, images):
    assert codec.encode(images[0].copy(), _middle(codec)).data == coded[codec.name].data


@EVERY_CODEC
def test_images_need_not_lie_in_one_piece_of_memory(codec, images):
    view = np.asfortranarray(images[0][:96, :96])[::-1, ::-1]
    expected = codec.encode(np.ascontiguousarray(view), _middle(codec)).data
    assert codec.encode(view, _middle(codec)).data == expected


@EVERY_CODEC
@pytest.mark.parametrize("level", [0, 255])
def test_flat_images_stay_flat(codec, level):
    flat = np.full((64, 64, 3), level, np.uint8)
    decoded = codec.decode(codec.encode(flat, _middle(codec)), _middle(codec))
    assert abs(decoded.astype(int) - level).max() <= 2


@EVERY_CODEC
def test_colors_are_not_exchanged(codec):
    for color in np.eye(3, dtype=np.uint8) * 200:
        flat = np.broadcast_to(color, (64, 64, 3))
        decoded = codec.decode(codec.encode(flat, _middle(codec)), _middle(codec))
        assert abs(decoded.astype(int) - color).max() <= 6


@pytest.mark.parametrize(
    ("codec", "pattern"),
    [
        (CODECS["jpeg"], r"libjpeg-turbo \d+\.\d+"),
        (CODECS["jpeg_optimized"], r"libjpeg-turbo \d+\.\d+"),
        (CODECS["jpeg2000"], r"OpenJPEG \d+\.\d+"),
        (CODECS["hevc444"], r"x265 \d+\.\d+"),
        (CODECS["hevc420"], r"x265 \d+\.\d+"),
    ],
)
def test_versions_are_asked_of_the_software(codec, pattern):
    assert re.match(pattern, codec.version())


def test_identities_differ_with_codec_setting_options_and_version(monkeypatch):
    every = [codec.identity(setting) for codec in CODECS.values() for setting in codec.settings]
    assert len(set(every)) == len(every)
    for codec in CODECS.values():
        setting = _middle(codec)
        before = codec.identity(setting)
        assert codec.identity(setting) == before
        with monkeypatch.context() as patched:
            patched.setattr(type(codec), "version", lambda self: "another")
            assert codec.identity(setting) != before
        with monkeypatch.context() as patched:
            options = {**codec.options(setting), "more": 1}
            patched.setattr(type(codec), "options", lambda self, setting, new=options: new)
            assert codec.identity(setting) != before


# Golden files and scores of Kodak.

_TITLES = [(image, name) for image in GOLDEN["images"] for name in GOLDEN["images"][image]]


def _kodak(collection, name):
    (path,) = (path for path in collection("kodak") if pathlib.Path(path).stem == name)
    return read_image(path)


def _setting(name, row):
    return f"{row['param']:.4f}" if name == "jpeg2000" else str(row["param"])


@pytest.mark.parametrize(("image", "name"), _TITLES)
def test_files_and_scores_of_kodak_are_golden(image, name, collection):
    original = _kodak(collection, image)
    rows = GOLDEN["images"][image][name]
    for row in rows[1::4] if name in HEVC else rows:  # x265 takes its time
        file = CODECS[name].encode(original, _setting(name, row))
        assert len(file.data) == row["bytes"], (
            f"{CODECS[name].version()} writes other bytes than the software of the golden "
            f"numbers ({GOLDEN['_versions']}): they cannot be compared"
        )
        if "bytes_opt" in row:
            optimized = CODECS["jpeg_optimized"].encode(original, _setting(name, row))
            assert len(optimized.data) == row["bytes_opt"]
    # `file` is the last of these: the decoded image must have its scores.
    decoded = CODECS[name].decode(file, _setting(name, row))
    known = [metric for metric in vmaf.METRICS if metric != "vmaf_neg"]
    scores = vmaf.measure(original[None], decoded[None], known)
    for metric in known:
        expected = row["psnr_avg" if metric == "psnr" else metric]
        assert scores[metric][0] == pytest.approx(expected, rel=1e-3), metric
    assert _psnr(original, decoded) == pytest.approx(row["psnr_rgb"], rel=1e-5)


def test_golden_settings_of_jpeg2000_are_the_codec_s():
    for images in GOLDEN["images"].values():
        settings = tuple(_setting("jpeg2000", row) for row in images["jpeg2000"])
        assert settings == Jpeg2000.settings


# JPEG


def _jpeg_tables(data):
    """Bytes of the Huffman tables of a JPEG file."""
    found, place = 0, 2
    while data[place + 1] != 0xDA:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        found += length if data[place + 1] == 0xC4 else 0
        place += 2 + length
    return found


def test_jpeg_is_444_and_only_the_optimized_one_brings_its_own_tables(images):
    for image in images:
        for setting in ("4", "50", "95"):
            standard, optimized = (Jpeg(on).encode(image, setting) for on in (False, True))
            with Image.open(io.BytesIO(standard.data)) as file:
                assert [layer[1:3] for layer in file.layer] == [(1, 1)] * 3
            np.testing.assert_array_equal(
                Jpeg().decode(standard, setting), Jpeg(True).decode(optimized, setting)
            )
            assert len(optimized.data) < len(standard.data)
            # Annex K: two tables of 12 and two of 162 codes, each with 17 bytes before them.
            assert _jpeg_tables(standard.data) - 4 * 2 == 2 * (12 + 17) + 2 * (162 + 17)
            assert _jpeg_tables(optimized.data) < _jpeg_tables(standard.data)


# JPEG 2000


def _segment(data, marker):
    """Contents of a marker segment of a codestream's main header."""
    place = data.index(bytes([0xFF, marker]))
    length = int.from_bytes(data[place + 2 : place + 4], "big")
    return data[place + 4 : place + 2 + length]


def test_jpeg2000_is_a_bare_codestream_with_the_options_asked_for(coded):
    data = coded["jpeg2000"].data
    assert data[:4] == b"\xff\x4f\xff\x51"  # start of codestream, size
    assert data[-2:] == b"\xff\xd9"
    assert b"jP  " not in data
    assert b"ftyp" not in data
    style = _segment(data, 0x52)
    assert int.from_bytes(style[2:4], "big") == 1  # layer
    assert style[4] == 1  # color transform
    assert style[9] == 0  # 9/7 wavelet


def test_jpeg2000_meets_its_rates():
    """By 3.6 % at worst on Kodak; from above, it keeps below the rate asked for."""
    for path in find_images("sample_test"):
        image = read_image(path)
        rates = [
            8 * len(Jpeg2000().encode(image, setting).data) / image[..., 0].size
            for setting in Jpeg2000.settings
        ]
        np.testing.assert_allclose(rates, np.geomspace(LOWEST_BPP, HIGHEST_BPP, 8), rtol=0.05)


# HEVC


def _units(data):
    """Types and lengths, with start codes, of the NAL units of an Annex-B stream."""
    starts = [i for i in range(len(data) - 3) if data[i : i + 3] == b"\0\0\1"]
    # A zero byte before the three belongs to the start code, too.
    starts = [start - (start > 0 and data[start - 1] == 0) for start in starts]
    ends = [*starts[1:], len(data)]
    return [
        (data[data.index(b"\1", start) + 1] >> 1, end - start) for start, end in zip(starts, ends)
    ]


@EVERY_HEVC
def test_hevc_is_one_intra_image_behind_its_parameter_sets(codec, coded):
    data = coded[codec.name].data
    assert data.startswith(b"\0\0\0\1")
    types, lengths = zip(*_units(data))
    assert types[:3] == (32, 33, 34)  # VPS, SPS, PPS; no SEI
    assert len(types) == 4
    assert types[3] in (19, 20)  # IDR
    assert sum(lengths) == len(data)
    assert sum(lengths[:3]) == pytest.approx(83, abs=2)


@EVERY_HEVC
def test_hevc_s_parameter_sets_are_as_large_for_kodak(codec, collection):
    data = codec.encode(_kodak(collection, "kodim20"), "51").data
    assert sum(length for _, length in _units(data)[:3]) == pytest.approx(83, abs=2)


@EVERY_HEVC
def test_hevc_gives_fewer_bytes_with_a_higher_qp(codec, images):
    sizes = [len(codec.encode(images[0][:64, :64], str(qp)).data) for qp in range(16, 52, 7)]
    assert (np.diff(sizes) < 0).all()
    assert int(codec.settings[0]) > int(codec.settings[-1])


def test_hevc_has_the_chroma_sampling_of_its_name():
    """Columns that differ in color alone survive at 4:4:4 and are averaged at 4:2:0."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 131, 60)  # of about equal luma
    quality = {}
    for name, codec in HEVC.items():
        decoded = codec.decode(codec.encode(stripes, "4"), "4")
        quality[name] = _psnr(stripes, decoded)
    assert quality["hevc444"] > 30
    assert quality["hevc420"] < 20


def test_hevc_knows_no_other_sampling():
    with pytest.raises(ValueError, match="sampling must be 444 or 420, got 422"):
        Hevc(422)


# Images that a codec cannot take.


@EVERY_HEVC
@pytest.mark.parametrize(("height", "width"), [(16, 64), (64, 16), (31, 31), (1, 1)])
def test_hevc_refuses_small_images_by_name_and_size(codec, height, width):
    image = np.zeros((height, width, 3), np.uint8)
    for attempt in (codec.check, lambda h, w: codec.encode(image, "32")):
        with pytest.raises(
            CodecError, match=rf"^{codec.name} needs \d+ pixels, got {width}x{height}$"
        ):
            attempt(height, width)


@pytest.mark.parametrize(("height", "width"), [(65, 66), (66, 65), (67, 65)])
def test_only_hevc420_needs_even_sides(height, width, random):
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    for attempt in (CODECS["hevc420"].check, lambda h, w: HEVC["hevc420"].encode(image, "32")):
        with pytest.raises(CodecError, match=f"^hevc420 needs even sides, got {width}x{height}$"):
            attempt(height, width)
    for name, codec in CODECS.items():
        if name != "hevc420":
            codec.check(height, width)
            file = codec.encode(image, _middle(codec))
            assert codec.decode(file, _middle(codec)).shape == image.shape


@EVERY_CODEC
@pytest.mark.parametrize(("height", "width"), [(2, 2), (32, 32), (48, 160), (64, 64), (66, 130)])
def test_what_a_codec_says_it_can_take_it_can(codec, height, width, random):
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    try:
        codec.check(height, width)
    except CodecError:
        with pytest.raises(CodecError, match=f"^{codec.name} needs .* got {width}x{height}$"):
            codec.encode(image, _middle(codec))
        return
    file = codec.encode(image, _middle(codec))
    assert codec.decode(file, _middle(codec)).shape == image.shape


@pytest.mark.parametrize("name", ["jpeg", "jpeg_optimized"])
def test_jpeg_names_a_image_that_is_too_wide_for_it(name):
    with pytest.raises(CodecError, match=f"^{name} cannot code an image of 65536x1: "):
        CODECS[name].encode(np.zeros((1, 65536, 3), np.uint8), "50")


# Damage.


@EVERY_CODEC
@pytest.mark.parametrize("data", [b"", b"\0", b"no image at all" * 20], ids=["empty", "0", "text"])
def test_what_is_no_stream_is_an_error_of_that_codec(codec, data):
    with pytest.raises(CodecError, match=f"^{codec.name}"):
        codec.decode(EncodedFile(data, 64, 64), _middle(codec))


@EVERY_CODEC
def test_streams_cut_within_their_headers_are_errors(codec, coded):
    with pytest.raises(CodecError, match=f"^{codec.name}"):
        codec.decode(_changed(coded[codec.name], slice(30)), _middle(codec))


@pytest.mark.parametrize("name", ["jpeg", "jpeg_optimized", "jpeg2000"])
def test_truncated_files_are_errors(name, coded):
    size = len(coded[name].data)
    for length in (size // 4, size // 2, size - 2):
        with pytest.raises(CodecError, match=f"^{name} cannot decode its file: "):
            CODECS[name].decode(_changed(coded[name], slice(length)), _middle(CODECS[name]))


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000"])
def test_a_flipped_byte_gives_a_image_or_an_error_that_is_caught(name, coded, random):
    """These formats have no checksum; what counts is that nothing else is raised."""
    size = 8 if name == "jpeg2000" else coded[name].data.index(b"\xff\xc0") + 5
    places = random.integers(0, len(coded[name].data), 200)
    for place in places[(places < size) | (places >= size + 8)]:
        damaged = bytearray(coded[name].data)
        damaged[place] ^= random.integers(1, 256)
        with contextlib.suppress(CodecError):
            decoded = CODECS[name].decode(_changed(coded[name], damaged), _middle(CODECS[name]))
            assert decoded.dtype == np.uint8


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000"])
def test_a_huge_size_in_a_damaged_header_is_an_error_that_is_caught(name, coded):
    data = bytearray(coded[name].data)
    if name == "jpeg2000":
        data[8] ^= 1  # the width is 2**24 more
    else:
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = b"\xff\x00\xff\x00"
    with pytest.raises(CodecError, match=f"^{name} cannot decode its file: "):
        CODECS[name].decode(_changed(coded[name], data), _middle(CODECS[name]))


# ffmpeg missing or failing.


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a script stand in for ffmpeg."""

    def install(text):
        path = tmp_path / "ffmpeg"
        path.write_text(text)
        path.chmod(0o755)
        monkeypatch.setenv("LOSSYLAB_FFMPEG", str(path))
        return str(path)

    return install


def _uses(codec, image):
    """Everything that a codec needs ffmpeg for."""
    return (
        lambda: codec.encode(image, "32"),
        lambda: codec.decode(EncodedFile(b"\0\0\0\1", 64, 64), "32"),
    )


@EVERY_HEVC
def test_a_missing_ffmpeg_is_named(codec, images, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "/nowhere/ffmpeg")
    for use in _uses(codec, images[0]):
        with pytest.raises(
            CodecError, match=f"^{codec.name}: LOSSYLAB_FFMPEG=/nowhere/ffmpeg is not an executable"
        ):
            use()
    with pytest.raises((CodecError, FFmpegError), match="LOSSYLAB_FFMPEG=/nowhere/ffmpeg is not"):
        codec.version()


@EVERY_HEVC
def test_a_failing_ffmpeg_is_quoted(codec, images, program):
    path = program("#!/bin/sh\necho 'it hurts' >&2\nexit 3\n")
    for use in _uses(codec, images[0]):
        with pytest.raises(
            CodecError, match=f"^{codec.name}: {path} failed with status 3: it hurts$"
        ):
            use()
    with pytest.raises(CodecError, match=f"^hevc: {path} has no libx265: it hurts$"):
        codec.version()


@EVERY_HEVC
def test_an_ffmpeg_that_writes_nothing_is_reported(codec, images, program):
    program("#!/bin/sh\ncat > /dev/null\n")
    for use in _uses(codec, images[0]):
        with pytest.raises(CodecError, match=f"^{codec.name}: ffmpeg wrote nothing"):
            use()


@EVERY_HEVC
def test_an_ffmpeg_that_cannot_be_started_is_named(codec, images, program):
    path = program("#!/nowhere/sh\n")
    for use in (*_uses(codec, images[0]), codec.version):
        with pytest.raises(CodecError, match=path):
            use()


# Content.


def test_digest_tells_pixels_and_sizes_apart(images):
    image = images[0]
    assert digest(image) == digest(image.copy()) == digest(np.asfortranarray(image))
    changed = image.copy()
    changed[-1, -1, -1] ^= 1
    assert digest(changed) != digest(image)
    assert digest(image.reshape(160, 128, 3)) != digest(image)
