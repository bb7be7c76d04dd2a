"""Crops of codecs at nearly equal rate."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import CollectionError, ImageError, UsageError, WorkError
from lossylab.eval.report import crop_grid
from lossylab.inference.export.codec import Codec
from lossylab.models.bls2017 import BLS2017
from lossylab.models.proxiqa import ProxIQA


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    tf.random.set_seed(4)
    path = tmp_path_factory.mktemp("mse") / "export"
    Codec.save(BLS2017(4), str(path), {})
    return str(path)


@pytest.fixture
def folder(tmp_path, images):
    (tmp_path / "in").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "in" / "a.png")
    return tmp_path


def _run(folder, *flags):
    places = [f"--data={folder / 'in'}", f"--out={folder / 'out'}"]
    cli.main(["eval", "crops", *places, "--crop_size=64", *flags])
    page = crop_grid.read(folder / "out")
    return page.images["a"], page.title


def test_strips_are_read_as_they_were_written(tmp_path):
    """Gray and colored tiles, names with commas, and facts."""
    rng = np.random.default_rng(0)
    gray, color = (rng.integers(0, 256, (9, 7, c)).astype(np.uint8) for c in (1, 3))
    tiles = [crop_grid.Tile(gray, "gray"), crop_grid.Tile(color, "color\n2", {"histograms": [1]})]
    crop_grid.write(tmp_path, "both", {"a, jpeg": tiles})
    page = crop_grid.read(tmp_path)
    assert page.title == "both"
    for tile, again in zip(tiles, page.images["a, jpeg"], strict=True):
        assert (again.label, again.facts) == (tile.label, tile.facts)
        np.testing.assert_array_equal(again.pixels, np.broadcast_to(tile.pixels, (9, 7, 3)))
    (tmp_path / "a_jpeg.webp").write_bytes(b"RIFF")
    with pytest.raises(WorkError, match="index.json is damaged: have the crops made again"):
        crop_grid.read(tmp_path)


def test_crops_show_the_same_place_and_the_nearest_rate(folder, images, exported):
    items, title = _run(
        folder,
        "--codecs=jpeg,jpeg2000",
        f"--models=mse:{exported}",
        *("--bpp=1.5", "--center=1,0", "--metrics=vmaf,psnr"),
    )
    rates = [float(item.label.split(",")[1].split()[0]) for item in items[1:]]
    words, percent = title.removesuffix("% at most").split("; rates differ by ")
    assert words == "1.5 bits per pixel"
    assert float(percent) == pytest.approx(100 * (max(rates) / min(rates) - 1), rel=0.01)
    assert [item.label.split(",")[0] for item in items] == [
        "original",
        "mse",
        "jpeg",
        "jpeg2000",
    ]
    np.testing.assert_array_equal(items[0].pixels, images[0][:64, -64:])
    for item in items[2:]:
        crop = item.pixels.astype(float)
        assert crop.shape == (64, 64, 3)
        assert np.abs(crop - images[0][:64, -64:]).mean() < 12
        bpp = float(item.label.split(",")[1].split()[0])
        assert bpp == pytest.approx(1.5, rel=0.1)  # JPEG 2000 is told the rate itself
        assert "VMAF" in item.label
        assert "PSNR" in item.label


def test_a_proxy_scores_the_crops(folder, exported, tmp_path):
    proxy = ProxIQA(64)
    path = str(tmp_path / "run" / "checkpoints" / "ckpt")
    tf.train.Checkpoint(proxy=proxy).save(path)
    items, _ = _run(folder, f"--models=mse:{exported}", f"--proxy_from={tmp_path / 'run'}")
    pair = [tf.cast(item.pixels[None], tf.float32) for item in items]
    assert f"proxy {float(proxy(pair)[0]):.1f}" in items[1].label
    with pytest.raises(UsageError, match="has no proxy for patches of 128 pixels"):
        _run(
            folder,
            f"--models=mse:{exported}",
            "--crop_size=128",
            f"--proxy_from={tmp_path / 'run'}",
        )


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ([], UsageError, "nothing to show: give --codecs or --models"),
        (["--codecs=bpg"], UsageError, "--codecs=bpg is none of jpeg, "),
        (["--codecs=jpeg", "--center=2,0"], UsageError, "--center=2.0 must be at most 1"),
        (
            ["--codecs=jpeg", "--center=0.5"],
            UsageError,
            "--center takes two fractions",
        ),
        (["--codecs=jpeg", "--bpp=0"], UsageError, "--bpp=0.0 must be above 0"),
        (["--codecs=jpeg", "--metrics=lpips"], UsageError, "--metrics=lpips is none of vmaf"),
        (
            ["--codecs=jpeg", "--crop_size=500"],
            ImageError,
            "smaller than the crops of 500x500 pixels",
        ),
        (["--codecs=jpeg", "--data=nowhere"], CollectionError, "nowhere"),
        (["--models=mse"], UsageError, "models.* takes NAME:EXPORT, got mse"),
        (["--codecs=jpeg", "--proxy_from=nowhere"], UsageError, "no checkpoint in nowhere"),
    ],
)
def test_wrong_flags(flags, error, message, folder):
    with pytest.raises(error, match=message):
        _run(folder, *flags)


def test_a_image_a_codec_cannot_take_is_said(tmp_path, images):
    (tmp_path / "in").mkdir()
    Image.fromarray(images[0][:101]).save(tmp_path / "in" / "a.png")
    with pytest.raises(UsageError, match="hevc420 needs even sides, got 160x101"):
        _run(tmp_path, "--codecs=hevc420", "--crop_size=64")
