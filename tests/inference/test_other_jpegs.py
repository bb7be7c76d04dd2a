"""jpegli and MozJPEG where they are installed, and what is said where they are not."""

import importlib.util
import io
import sys
import types

import fake_encoders
import numpy as np
import pytest
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import CodecError, UsageError
from lossylab.inference.codecs import other_jpegs
from lossylab.inference.codecs.other_jpegs import OTHERS, Jpegli, MozJpeg

_NEEDS = {"jpegli": "pyjpegli", "mozjpeg": "pyvips", "mozjpeg444": "pyvips"}


@pytest.fixture
def absent(monkeypatch):
    """No such packages."""
    for name in _NEEDS.values():
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_installed_codes_better_by_the_quality(name, images):
    if importlib.util.find_spec(_NEEDS[name]) is None:
        pytest.skip(f"{_NEEDS[name]} is not installed")
    codec = OTHERS[name]((20, 90))
    assert _NEEDS[name] in codec.version()
    files = [codec.encode(images[0], setting) for setting in codec.settings]
    errors = [np.abs(codec.decode(f, "").astype(int) - images[0]).mean() for f in files]
    assert len(files[0].data) < len(files[1].data)
    assert errors[0] > errors[1]
    with Image.open(io.BytesIO(files[1].data)) as image:
        sampled = image.layer[0][1] > image.layer[1][1]
    assert sampled == (name != "mozjpeg444")


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_installed_says_how_to_get_it(name, absent, images):
    codec = OTHERS[name]()
    assert codec.searched
    assert len(codec.settings) == 100
    for call in (codec.version, lambda: codec.encode(images[0], "50")):
        with pytest.raises(CodecError, match=rf"{name} needs .*: pip install .*pyjpegli"):
            call()
    with pytest.raises(UsageError, match=f"{name} needs the package"):
        cli.main(["eval", "rd", f"--codecs={name}", "--data=sample_test", "--out=nowhere"])


def test_jpegli_is_told_pixels_and_quality(monkeypatch, images):
    fake_encoders.pillow_as_jpegli(monkeypatch)
    codec = Jpegli((30, 80))
    assert codec.version() == "pyjpegli 9.9"
    file = codec.encode(images[0], "80")
    assert np.abs(codec.decode(file, "80").astype(int) - images[0]).mean() < 12
    with pytest.raises(CodecError, match="jpegli cannot code .*: unlucky"):
        codec.encode(images[0], "13")


def test_a_libvips_without_mozjpeg_is_not_mozjpeg(monkeypatch, images):
    """libjpeg-turbo ignores what only MozJPEG knows, without a word."""

    class Source:
        def copy(self, interpretation):
            return self

        def jpegsave_buffer(self, **options):
            return bytes([options["Q"]])

    vips = types.SimpleNamespace(
        Error=RuntimeError, Image=types.SimpleNamespace(new_from_memory=lambda *_: Source())
    )
    monkeypatch.setitem(sys.modules, "pyvips", vips)
    monkeypatch.setattr(other_jpegs, "_installed", lambda name: "9.9")
    monkeypatch.setattr(other_jpegs, "_has_mozjpeg", other_jpegs._has_mozjpeg.__wrapped__)
    with pytest.raises(CodecError, match="mozjpeg: libvips here is built without MozJPEG"):
        MozJpeg().version()
    vips.Image.new_from_memory = lambda *_: None
    monkeypatch.setattr(vips, "Error", AttributeError)
    with pytest.raises(CodecError, match="libvips cannot code"):
        MozJpeg().encode(images[0], "50")
