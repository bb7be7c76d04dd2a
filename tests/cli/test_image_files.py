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


def test_shards_together_write_what_one_command_writes(pieces, tmp_path, capsys):
    given = tmp_path / "given"
    given.mkdir()
    for number in range(5):
        Image.fromarray(np.roll(pieces, number, 0)).save(given / f"{number}.png")

    def run(out, *more):
        cli.main(["distort", str(given), str(tmp_path / out), "--distortion=jpeg", *more])
        return [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]]

    whole = run("whole")
    parts = [run("parts", f"--shard={number}/3") for number in (1, 2, 3)]
    assert sorted(map(len, parts)) == [1, 2, 2]
    assert sorted(name for part in parts for name in part) == whole
    for path in given.iterdir():
        one, other = (tmp_path / out / path.name for out in ("whole", "parts"))
        assert one.read_bytes() == other.read_bytes()
    assert run("parts") == run("parts", "--shard=2/3") == []  # all is finished


@pytest.mark.parametrize("command", ["compress", "decompress", "restore", "jpeg", "distort"])
def test_commands_of_files_refuse_what_is_no_shard(command, tmp_path):
    more = ["--distortion=jpeg"] if command == "distort" else []
    with pytest.raises(UsageError, match="--shard is I/N, from 1/N to N/N, got '3/2'"):
        cli.main([command, str(tmp_path), str(tmp_path / "out"), "--shard=3/2", *more])
