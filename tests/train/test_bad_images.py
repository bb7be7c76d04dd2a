"""Every training looks at all images before it begins, and may leave out what it cannot use."""

import pathlib

import pytest
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import ImageError
from lossylab.train.options.wcdgan import WcdganOptions
from lossylab.train.session import Files

# Flags with which a training needs no files of others.
_TRAININGS = {
    "proxiqa": ["--metric=mse"],
    "wcdgan": ["--model=arcnn", "--weights=random"],
    "jpeg_encoder": ["--attention=none", "--ms_ssim_weight=0", "--lpips_weight=0"],
    "distortion_gan": [],
    "rankiqa": ["--weights=random", "--batch=24"],
    "mmd_restoration": ["--max_patch=32", "--factor=1"],
}


@pytest.fixture
def folder(tmp_path):
    """Three images, two of which are cut, and a small one."""
    place = tmp_path / "images"
    place.mkdir()
    for name, height in zip("abcd", (64, 64, 64, 20)):
        Image.effect_noise((64, height), 40).convert("RGB").save(place / f"{name}.png")
    for name in "bc":
        data = (place / f"{name}.png").read_bytes()
        (place / f"{name}.png").write_bytes(data[:-200])
    return place


@pytest.mark.parametrize("training", _TRAININGS)
def test_every_bad_image_is_named_before_a_training_begins(training, folder, tmp_path):
    words = [f"--train_data={folder}", f"--run_dir={tmp_path / 'run'}", "--patch=32"]
    with pytest.raises(ImageError, match=r"2 of 4 images cannot be read:") as caught:
        cli.main(["train", training, *words, *_TRAININGS[training]])
    text = str(caught.value)
    assert all(f"{folder}/{name}.png: cannot be decoded, is it damaged?" in text for name in "bc")
    assert "give --skip_bad" in text
    assert not (tmp_path / "run").exists()


def _options(folder, **more):
    return WcdganOptions(run_dir="run", train_data=str(folder), patch=32, **more)


def test_what_cannot_be_used_is_left_out_and_counted(folder, caplog):
    options = _options(folder, skip_bad=True, skip_small=True)
    files = Files.of(options).checked(options, options.patch)
    assert [pathlib.Path(path).name for path in files.train] == ["a.png"]
    assert files.validation == []
    assert "2 of 4 images cannot be read: left out" in caplog.text
    assert "1 of 4 images are smaller than the patch of 32x32 pixels: left out" in caplog.text


def test_small_images_may_stay_an_error(folder):
    options = _options(folder, skip_bad=True)
    with pytest.raises(ImageError, match=r"1 images are smaller than .*or give `skip_small`"):
        Files.of(options).checked(options, options.patch)


@pytest.mark.parametrize("more", [{"check_images": False}, {"dry_run": True}])
def test_headers_may_be_enough(more, folder):
    options = _options(folder, skip_small=True, **more)
    assert len(Files.of(options).checked(options, options.patch).train) == 3


def test_validation_images_are_looked_at_too(folder, tmp_path):
    Image.effect_noise((64, 64), 40).convert("RGB").save(tmp_path / "good.png")
    options = _options(tmp_path / "good.png", validation_data=str(folder))
    with pytest.raises(ImageError, match=r"2 of 4 images cannot be read"):
        Files.of(options).checked(options, options.patch)
