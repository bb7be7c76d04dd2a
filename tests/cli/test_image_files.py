"""Gray in, gray out, and color profiles, through commands that make an image of each image."""

import numpy as np
import pytest
from image_bytes import ADOBE, rgb_profile
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import UsageError
from lossylab.data.distortions import DISTORTIONS
from lossylab.data.formats import profiles


@pytest.fixture
def pieces(images):
    return images[0][:40, :48]


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_distorted_gray_is_gray(kind, pieces, tmp_path):
    Image.fromarray(pieces[..., 0]).save(tmp_path / "gray.png")
    Image.fromarray(pieces).save(tmp_path / "color.png")
    for name in ("gray", "color"):
        words = [str(tmp_path / f"{name}.png"), str(tmp_path / f"{name}_out.png")]
        cli.main(["distort", *words, f"--distortion={kind}"])
    with Image.open(tmp_path / "gray_out.png") as image:
        assert image.mode == "L"
        assert not np.array_equal(image, pieces[..., 0])
    with Image.open(tmp_path / "color_out.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize("keep", [False, True])
def test_profiles_are_written_again_if_they_are_kept(keep, pieces, tmp_path):
    profile = rgb_profile(ADOBE, 563 / 256)
    Image.fromarray(pieces).save(tmp_path / "a.png", icc_profile=profile)
    words = ["distort", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--distortion=jpeg"]
    cli.main([*words, "--severity=100", *(["--keep_profile"] if keep else [])])
    with Image.open(tmp_path / "b.png") as image:
        assert image.info.get("icc_profile") == (profile if keep else None)
        near = np.abs(np.asarray(image).astype(int) - pieces).mean() < 2
        assert near == keep


def test_jpeg_files_are_restored_as_they_are_coded_and_converted_afterwards(pieces, tmp_path):
    profile = rgb_profile(ADOBE, 563 / 256)
    Image.fromarray(pieces).save(tmp_path / "a.jpg", quality=20, icc_profile=profile)
    Image.fromarray(pieces).save(tmp_path / "plain.jpg", quality=20)
    outs = {}
    for name, flags in (("a", ["--keep_profile"]), ("a", []), ("plain", [])):
        target = tmp_path / f"{name}{len(flags)}.png"
        cli.main(["restore", str(tmp_path / f"{name}.jpg"), str(target), "--model=sadct", *flags])
        with Image.open(target) as image:
            outs[name, len(flags)] = np.asarray(image)
            assert image.info.get("icc_profile") == (profile if flags else None)
    np.testing.assert_array_equal(outs["a", 1], outs["plain", 0])
    np.testing.assert_array_equal(outs["a", 0], profiles.converted(outs["a", 1], profile))


def test_formats_without_a_place_for_profiles_are_refused(pieces, tmp_path):
    Image.fromarray(pieces).save(tmp_path / "a.png")
    words = ["distort", str(tmp_path / "a.png"), str(tmp_path / "b.bmp"), "--distortion=jpeg"]
    with pytest.raises(UsageError, match=r"--keep_profile: .*b\.bmp has no place for a profile"):
        cli.main([*words, "--keep_profile"])


def test_a_pattern_without_quotes_gets_a_hint(pieces, tmp_path):
    names = [str(tmp_path / f"{number}.png") for number in range(3)]
    for name in names:
        Image.fromarray(pieces).save(name)
    with pytest.raises(UsageError, match=r"unexpected arguments: .*put a pattern .* into quotes"):
        cli.main(["distort", *names, str(tmp_path / "out"), "--distortion=jpeg"])
