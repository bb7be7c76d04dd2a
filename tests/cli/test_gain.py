"""Commands without a model, and what they say of the gain over JPEG."""

import io
import math

import numpy as np
import pytest
import tensorflow as tf
from image_bytes import ADOBE, rgb_profile
from PIL import Image
from skimage import data

from lossylab.cli import __main__ as cli
from lossylab.cli import gain
from lossylab.core.errors import BitstreamError, ExportError, UsageError
from lossylab.data.distortions import distort
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export import zoo
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.distorter import Distorter
from lossylab.inference.export.jpeg import Encoder
from lossylab.models.bls2017 import BLS2017
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.unet import ResidualUNet


@pytest.fixture(scope="module")
def image():
    return data.astronaut()[100:228, 150:310]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Codecs of two rates that have names."""
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOSSYLAB_ZOO", str(folder))
        for lmbda in (0.001, 0.032):
            tf.random.set_seed(1)
            options = {"lmbda": lmbda, "metric": "mse"}
            Codec.save(BLS2017(4), folder / "export", options)
            words = ["models", "add", str(folder / "export"), f"bls-{lmbda}", "--summary=small"]
            cli.main(words)
    return folder


@pytest.fixture(autouse=True)
def named(models, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "none")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(models))
    monkeypatch.setenv("LOSSYLAB_CACHE", str(models / "cache"))


@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_is_beside_itself(image, subsampling):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50, subsampling=subsampling, optimize=True)
    decoded = np.asarray(Image.open(file))
    at_least = psnr(image, decoded)
    found = gain.best_jpeg(image, len(file.getvalue()))
    assert at_least <= found < at_least + 1
    assert gain.best_jpeg(image, len(file.getvalue()) + 1) >= found
    line = gain.beside_jpeg(image, decoded, len(file.getvalue()))
    assert line.startswith(f"{8 * len(file.getvalue()) / (128 * 160):.3f} bits per pixel")


def test_profiles_weigh_on_both_sides(image):
    profile, sizes = rgb_profile(ADOBE, 563 / 256), []
    for kept in (None, profile):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=50, optimize=True, icc_profile=kept)
        sizes.append(file.tell())
    assert sizes[0] < sizes[1]
    assert gain.best_jpeg(image, sizes[1], profile) == gain.best_jpeg(image, sizes[0])


def test_no_jpeg_is_as_large_as_anything(image):
    assert math.isnan(gain.best_jpeg(image, 10**6))
    assert gain.beside_jpeg(image, image, 10**6).endswith("no JPEG file is as large")
    gray = image[..., :1]
    assert math.isfinite(gain.best_jpeg(gray, 1000))


def test_a_photo_alone_is_compressed_and_found_again(image, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(image).save("photo.png")
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["compress", "photo.png"])
    assert "codec: bls-0.001 (qualities 1 to 4), small" in caplog.messages
    assert any("JPEG of as many bytes" in message for message in caplog.messages)
    cli.main(["decompress", "photo.lossy"])
    with Image.open("photo.decoded.png") as decoded:
        expected = Codec("bls-0.001").reconstruct(image)[0]
        np.testing.assert_array_equal(np.asarray(decoded), expected)
    with pytest.raises(UsageError, match="exist"):
        cli.main(["compress", "photo.png"])


@pytest.mark.parametrize(
    ("quality", "name"), [(1, "bls-0.001"), (2, "bls-0.001"), (7, "bls-0.032"), (8, "bls-0.032")]
)
def test_quality_chooses_the_nearest_lambda(quality, name):
    assert zoo.codec(quality) == name


def test_what_is_missing_is_said(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in "ab":
        Image.fromarray(image).save(f"photos/{name}.png")
    with pytest.raises(UsageError, match="^OUTPUT is needed: a folder"):
        cli.main(["compress", "photos"])
    with pytest.raises(UsageError, match="^--quality goes without --model"):
        cli.main(["compress", "photos", "coded", "--model=bls-0.001", "--quality=3"])
    (tmp_path / "foreign.lossy").write_bytes(b"no such file")
    with pytest.raises(BitstreamError, match="^not a lossylab file"):
        cli.main(["decompress", "foreign.lossy"])
    cli.main(["compress", "photos", "coded"])
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "empty"))
    with pytest.raises(BitstreamError, match="has no name here"):
        cli.main(["decompress", "coded/a.lossy"])
    with pytest.raises(ExportError, match="^no codec has a name here"):
        cli.main(["compress", "photos/a.png"])


@pytest.fixture
def photo(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(image).save("photo.png")
    return image


def test_a_photo_alone_becomes_a_jpg_file(photo, tmp_path, monkeypatch, caplog):
    tf.random.set_seed(1)
    Encoder.save(JPEGEncoder(), tmp_path / "export", {"lmbda": 0.01, "rate": "coefficients"})
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    cli.main(["models", "add", str(tmp_path / "export"), "tables", "--summary=untrained"])
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["jpeg", "photo.png"])
    with Image.open("photo.learned.jpg") as shown:
        line = gain.beside_jpeg(
            photo, np.asarray(shown), (tmp_path / "photo.learned.jpg").stat().st_size
        )
    assert f"photo.learned.jpg: {line}" in caplog.messages


def test_a_photo_alone_is_distorted_and_restored_beside_it(photo, caplog):
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["distort", "photo.png", "--like=jpeg"])
    assert "no generator of jpeg has a name here: the distortion itself, " in caplog.text
    with Image.open("photo.distorted.png") as shown:
        distorted = np.asarray(shown)
    np.testing.assert_array_equal(distorted, distort(photo, "jpeg"))
    assert f"photo.distorted.png: {psnr(photo, distorted):.2f} dB from the original" in caplog.text
    Image.fromarray(photo).save("photo.jpg", quality=10)
    cli.main(["restore", "photo.jpg"])
    with Image.open("photo.jpg") as given, Image.open("photo.restored.png") as restored:
        assert psnr(photo, np.asarray(restored)) > psnr(photo, np.asarray(given))


def test_a_generator_that_has_a_name_goes_before_the_distortion(
    photo, tmp_path, monkeypatch, caplog
):
    Distorter.save(ResidualUNet(2), tmp_path / "export", {"distortion": "pink"})
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    cli.main(["models", "add", str(tmp_path / "export"), "worse", "--summary=untrained"])
    assert (zoo.distorter("pink"), zoo.distorter("white")) == ("worse", None)
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["distort", "photo.png", "--like=pink"])
    assert "generator: worse, untrained" in caplog.messages
    with Image.open("photo.distorted.png") as shown:
        expected = Distorter("worse").distort(photo)
        np.testing.assert_array_equal(np.asarray(shown), expected)
