"""Codecs that the user has: how they are called, with small programs in their place."""

import json
import sys
import tempfile

import numpy as np
import pytest
from scipy import ndimage

from lossylab.core.errors import CodecError
from lossylab.inference.codecs import external
from lossylab.inference.codecs.base import HIGHEST_BPP, LOWEST_BPP
from lossylab.inference.codecs.external import KNOWN, External

# Each notes its arguments beside itself, then does something like the real one.
_NOTE = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(arguments))
after = lambda flag: arguments[arguments.index(flag) + 1]
"""
_COPY = """
data = pathlib.Path(after("-i")).read_bytes()
pathlib.Path(after("-b")).write_bytes(data)
"""
_COPY_BACK = """
data = pathlib.Path(after("-b")).read_bytes()
pathlib.Path(after("-o")).write_bytes(data)
"""
_WAVELET = """
from PIL import Image
ratio = 24 / float(after("-rate"))
Image.open(after("-i")).save(
    after("-o"), "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[ratio]
)
"""
_COSINE = """
from PIL import Image
assert after("-s") == "1x1,1x1,1x1"
Image.open(arguments[-2]).save(arguments[-1], "JPEG", quality=int(after("-q")), subsampling=0)
"""
_FROM_FLAGS = """
from PIL import Image
Image.open(after("-i")).save(after("-o"))
"""
_FROM_PLACES = """
from PIL import Image
Image.open(arguments[0]).save(arguments[1])
"""
FAKES = {
    "hm444": (_COPY, _COPY_BACK),
    "hm420": (_COPY, _COPY_BACK),
    "kakadu": (_WAVELET, _FROM_FLAGS),
    "jpegxt": (_COSINE, _FROM_PLACES),
}
SETTING = {"hm444": "32", "hm420": "32", "kakadu": "1.0", "jpegxt": "80"}
EVERY_NAME = pytest.mark.parametrize("name", KNOWN)


@pytest.fixture
def program(tmp_path):
    """Writes a program: a Python script that notes its arguments, or another text."""

    def write(name, body, head=_NOTE):
        path = tmp_path / name
        path.write_text(head.format(python=sys.executable) + body)
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def config(tmp_path):
    """A configuration file."""
    path = tmp_path / "intra.cfg"
    path.write_text("Profile : main-RExt\n")
    return str(path)


@pytest.fixture
def make(program, config):
    """Makes one of the known codecs with fake programs."""

    def build(name, encoder=None, decoder=None):
        encode, decode = FAKES[name]
        encoder = encoder or program(f"{name}_encoder", encode)
        decoder = decoder or program(f"{name}_decoder", decode)
        return External(name, encoder, decoder, config if name.startswith("hm") else "")

    return build


@pytest.fixture(scope="module")
def image():
    """A smooth color image [66, 80, 3]."""
    fields = np.random.default_rng(6).normal(size=(66, 80, 3))
    return np.clip(128 + 700 * ndimage.gaussian_filter(fields, (6, 6, 0)), 0, 255).astype(np.uint8)


def _psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def test_every_known_codec_has_a_fake():
    assert FAKES.keys() == SETTING.keys() == KNOWN.keys()


# Round trips.


@EVERY_NAME
def test_a_image_comes_back(name, make, image):
    codec = make(name)
    file = codec.encode(image, SETTING[name])
    assert np.isnan(file.bits)
    decoded = codec.decode(file, SETTING[name])
    assert decoded.dtype == np.uint8
    assert decoded.shape == image.shape
    assert _psnr(image, decoded) > 33


@pytest.mark.parametrize(("name", "samples"), [("hm444", 3), ("hm420", 1.5)])
def test_hm_gets_planes_with_the_sampling_of_its_name(name, samples, make, image, tmp_path):
    codec = make(name)
    file = codec.encode(image, "32")
    data = file.data
    height, width = image.shape[:2]
    assert (file.height, file.width) == (height, width)
    assert len(data) == samples * height * width  # the size alone is not counted
    luma = np.frombuffer(data[: height * width], np.uint8).reshape(height, width)
    expected = 16 + image @ np.array([65.481, 128.553, 24.966]) / 255
    assert abs(luma - expected).max() <= 1.5
    arguments = json.loads((tmp_path / f"{name}_encoder.json").read_text())
    pairs = dict(zip(arguments[::2], arguments[1::2]))
    assert pairs["-c"].endswith("intra.cfg")
    assert (pairs["-wdt"], pairs["-hgt"], pairs["-q"]) == ("80", "66", "32")
    assert f"--InputChromaFormat={name[2:]}" in arguments


def test_planes_of_gray_levels_come_back_exactly(make):
    """Limited range has fewer levels than 256, so some are a level off, none more."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (32, 256, 3))
    for name in ("hm444", "hm420"):
        codec = make(name)
        decoded = codec.decode(codec.encode(ramp, "32"), "32")
        assert abs(decoded.astype(int) - ramp).max() <= 1


def test_programs_get_the_setting(make, image, tmp_path):
    for name, setting, flag in (("kakadu", "0.4116", "-rate"), ("jpegxt", "37", "-q")):
        make(name).encode(image, setting)
        arguments = json.loads((tmp_path / f"{name}_encoder.json").read_text())
        assert arguments[arguments.index(flag) + 1] == setting
    assert "-no_weights" in json.loads((tmp_path / "kakadu_encoder.json").read_text())


@pytest.mark.parametrize(
    ("name", "which"), [("kakadu", slice(3, None)), ("jpegxt", slice(9, None, 45))]
)
def test_more_rate_gives_larger_files(name, which, make, image):
    codec = make(name)
    sizes = [len(codec.encode(image, setting).data) for setting in codec.settings[which]]
    assert len(sizes) >= 3
    assert (np.diff(sizes) > 0).all()


def test_settings_go_from_low_to_high_rate():
    assert list(KNOWN["hm444"].settings) == [str(qp) for qp in range(51, -1, -1)]
    rates = [float(rate) for rate in KNOWN["kakadu"].settings]
    assert rates == pytest.approx(list(np.geomspace(LOWEST_BPP, HIGHEST_BPP, 8)), abs=1e-4)
    assert (np.diff([int(quality) for quality in KNOWN["jpegxt"].settings]) == 1).all()
    assert [name for name in KNOWN if not KNOWN[name].searched] == ["kakadu"]


def test_no_files_are_left_behind(make, image, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    codec = make("jpegxt")
    codec.decode(codec.encode(image, "50"), "50")
    assert not list(place.iterdir())


# What decides the result.


@EVERY_NAME
def test_version_names_the_programs_by_their_content(name, make, program):
    one, same = make(name), make(name)
    assert one.version() == same.version()
    assert f"{name}_encoder sha256:" in one.version()
    other = program(f"other_{name}_encoder", FAKES[name][0] + "# another build\n")
    assert make(name, encoder=other).version() != one.version()
    decoder = program(f"other_{name}_decoder", FAKES[name][1] + "# another build\n")
    assert make(name, decoder=decoder).version() != one.version()


def test_identity_differs_with_setting_and_configuration(make, config):
    codec = make("hm444")
    before = codec.identity("32")
    assert codec.identity("32") == before
    assert codec.identity("33") != before
    assert make("hm420").identity("32") != before
    with open(config, "a") as file:
        file.write("SAO : 0\n")
    assert make("hm444").identity("32") != before


# What goes wrong.


@EVERY_NAME
def test_a_missing_program_is_named(name, make):
    for part in ("encoder", "decoder"):
        with pytest.raises(CodecError, match=f"^{name}: there is no program '/nowhere/{part}'$"):
            make(name, **{part: f"/nowhere/{part}"})


def test_a_file_that_is_no_program_is_named(make, tmp_path):
    (tmp_path / "text").write_text("no program")
    with pytest.raises(CodecError, match=f"there is no program '{tmp_path}/text'"):
        make("kakadu", encoder=str(tmp_path / "text"))


@pytest.mark.parametrize("name", ["hm444", "hm420"])
@pytest.mark.parametrize("place", ["", "nowhere.cfg"])
def test_a_missing_configuration_is_named(name, place, make):
    codec = make(name)
    programs = [str(codec._programs[verb]) for verb in ("encode", "decode")]
    with pytest.raises(CodecError, match=f"^{name} needs its configuration file.* at '{place}'$"):
        External(name, *programs, place)


@EVERY_NAME
@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_a_failing_program_is_quoted(name, stream, make, program, image):
    failing = program("fails", f"print('it hurts', file=sys.{stream})\nsys.exit(3)\n")
    file = make(name).encode(image, SETTING[name])
    for codec, use in (
        (make(name, encoder=failing), lambda codec: codec.encode(image, SETTING[name])),
        (make(name, decoder=failing), lambda codec: codec.decode(file, SETTING[name])),
    ):
        with pytest.raises(CodecError, match=f"^{name}: {failing} failed with status 3: it hurts$"):
            use(codec)


@EVERY_NAME
def test_a_program_that_writes_nothing_is_an_error(name, make, program, image):
    idle = program("idle", "print('nothing to do')\n")
    file = make(name).encode(image, SETTING[name])
    with pytest.raises(CodecError, match=f"^{name}: {idle} .*nothing to do"):
        make(name, encoder=idle).encode(image, SETTING[name])
    with pytest.raises(CodecError, match=f"^{name}: {idle} .*nothing to do"):
        make(name, decoder=idle).decode(file, SETTING[name])


@EVERY_NAME
@pytest.mark.parametrize("body", ["wb", "w"], ids=["nothing", "rubbish"])
def test_a_decoder_that_writes_rubbish_is_an_error(name, body, make, program, image):
    write = (
        "place = after('-o') if '-o' in arguments else arguments[-1]\n"
        f"with open(place, '{body}') as file:\n"
        f"    file.write({'rubbish' if body == 'w' else b''!r})\n"
    )
    file = make(name).encode(image, SETTING[name])
    codec = make(name, decoder=program("rubbish", write))
    with pytest.raises(CodecError, match=f"^{name}"):
        codec.decode(file, SETTING[name])


@pytest.mark.parametrize("name", ["hm444", "hm420"])
@pytest.mark.parametrize("wrong", ["data[:-100]", "2 * data"], ids=["smaller", "16 bit"])
def test_planes_of_another_size_are_an_error(name, wrong, make, program, image):
    decoder = program("decoder", _COPY_BACK.replace("(data)", f"({wrong})"))
    file = make(name).encode(image, "32")
    with pytest.raises(CodecError, match=f"^{name}.* bytes.* 80x66"):
        make(name, decoder=decoder).decode(file, "32")


@EVERY_NAME
def test_a_program_that_never_ends_is_an_error(name, make, program, image, monkeypatch):
    monkeypatch.setattr(external, "_SECONDS", 0.5)
    slow = program("slow", "import time\ntime.sleep(60)\n")
    with pytest.raises(CodecError, match=f"^{name}: {slow} does not run: .*timed out"):
        make(name, encoder=slow).encode(image, SETTING[name])


def test_a_program_that_cannot_be_started_is_named(make, program, image):
    broken = program("broken", "", head="#!/nowhere/python\n")
    with pytest.raises(CodecError, match=f"^kakadu: {broken} does not run: "):
        make("kakadu", encoder=broken).encode(image, "1.0")


def test_hm420_refuses_odd_sides_by_name_and_size(make, random):
    odd = random.integers(0, 256, (65, 80, 3), np.uint8)
    for codec, fits in ((make("hm420"), False), (make("hm444"), True)):
        if fits:
            codec.check(65, 80)
            assert codec.decode(codec.encode(odd, "32"), "32").shape == odd.shape
            continue
        for use in (lambda c: c.check(65, 80), lambda c: c.encode(odd, "32")):
            with pytest.raises(CodecError, match="^hm420 needs even sides, got 80x65$"):
                use(codec)


@pytest.mark.parametrize("name", ["hm444", "hm420"])
def test_a_missing_ffmpeg_is_an_error_of_the_codec(name, make, image, monkeypatch):
    """It makes the planes; the interface promises CodecError."""
    codec = make(name)
    file = codec.encode(image, "32")
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(CodecError, match=f"^{name}: LOSSYLAB_FFMPEG=/nowhere/ffmpeg is not"):
        codec.encode(image, "32")
    with pytest.raises(CodecError, match=f"^{name}: LOSSYLAB_FFMPEG=/nowhere/ffmpeg is not"):
        codec.decode(file, "32")
