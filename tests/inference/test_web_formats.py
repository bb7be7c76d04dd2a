"""WebP, AVIF and JPEG XL: what is told the libraries, what they are called, what is missing."""

import sys

import numpy as np
import pytest
from PIL import features

from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import CodecError, UsageError
from lossylab.eval.schemas import CODED_COLOR, OTHER_FORMATS
from lossylab.inference.codecs import formats
from lossylab.inference.codecs.base import EncodedFile
from lossylab.inference.codecs.formats import FORMATS, Avif, JpegXl, WebP


@pytest.fixture(params=FORMATS)
def codec(request):
    """A codec of each format at two qualities; skips those that are not installed."""
    made = FORMATS[request.param]((20, 90))
    try:
        made.version()
    except CodecError as error:
        pytest.skip(str(error))
    return made


def test_formats_are_those_that_the_commands_offer():
    assert set(FORMATS) == set(OTHER_FORMATS)


def test_files_are_of_their_format_and_better_by_the_quality(codec, images):
    files = [codec.encode(images[0], setting) for setting in codec.settings]
    marks = {"webp": (8, b"WEBPVP8 "), "jpegxl": (0, b"\xff\x0a")}
    place, mark = marks.get(codec.name, (4, b"ftypavif"))
    assert all(file.data[place:].startswith(mark) for file in files)
    errors = [np.abs(codec.decode(f, "").astype(int) - images[0]).mean() for f in files]
    assert len(files[0].data) < len(files[1].data)
    assert errors[0] > errors[1]
    with pytest.raises(CodecError, match=f"^{codec.name} cannot decode its file: "):
        codec.decode(EncodedFile(files[0].data[:20], *images[0].shape[:2]), "20")


def test_all_settings_from_the_first_to_the_last_are_taken(codec, images):
    every = FORMATS[codec.name]()
    sizes = [
        len(every.encode(images[0], each).data)
        for each in (every.settings[0], "50", every.settings[-1])
    ]
    assert sizes == sorted(sizes)


def test_webp_names_an_image_that_is_too_wide_for_it():
    with pytest.raises(CodecError, match="^webp cannot code an image of 16384x1: "):
        WebP().encode(np.zeros((1, 16384, 3), np.uint8), "50")


def test_avif_has_the_chroma_sampling_of_its_name():
    if not features.check("avif"):
        pytest.skip("Pillow is built without AVIF")
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 131, 60)  # of about equal luma
    found = {}
    for sampling in (444, 420):
        codec = Avif(sampling=sampling)
        decoded = codec.decode(codec.encode(stripes, "95"), "95")
        found[sampling] = np.abs(decoded.astype(int) - stripes).mean()
    assert found[444] < 5 < 20 < found[420]
    assert "aom" in Avif().version()


@pytest.mark.parametrize("make", [WebP, Avif])
def test_a_pillow_without_the_library_is_named(make, monkeypatch, images):
    monkeypatch.setattr(formats.features, "check", lambda name: False)
    for call in (make().version, lambda: make().encode(images[0], "50")):
        with pytest.raises(CodecError, match=f"{make().name} needs a Pillow with "):
            call()


def test_jpeg_xl_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(CodecError, match=r"jpegxl needs .*: pip install .*pillow-jxl-plugin"):
        JpegXl().version()
    with pytest.raises(UsageError, match="jpegxl needs the package pillow-jxl-plugin"):
        cli.main(["eval", "rd", "--codecs=jpegxl", "--data=sample_test", "--out=nowhere"])


@pytest.mark.long
def test_learned_encoders_are_compared_with_formats_by_their_files_sizes(tmp_path):
    out = tmp_path / "out"
    cli.main(["eval", "jpeg_rd", "--data=sample_test", "--compare_with=webp", f"--out={out}"])
    table = rows.frame(rows.read(out / "rows.csv"), CODED_COLOR.text)
    webp = table[table.codec == "webp"]
    assert len(webp) == 3 * webp.setting.nunique() > 0
    assert (webp.bytes_optimized == webp.bytes).all()
    assert webp.decoder_difference.isna().all()
    assert webp.version.str.startswith("libwebp ").all()
