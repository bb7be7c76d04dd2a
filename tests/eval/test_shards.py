"""Shards: parts of a measurement that together are the measurement."""

import json
import re
import shutil

import pytest
from measured_rows import measured_by_two
from PIL import Image
from skimage import data

from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.digest import file_digest
from lossylab.core.errors import UsageError, WorkError
from lossylab.eval.report import rd_report
from lossylab.eval.schemas import CODED_COLOR, DIVERGENCES, LIBVMAF_MEASURES, RESTORATION
from lossylab.eval.sharing import shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    whole = data.astronaut()
    for index in range(5):
        Image.fromarray(whole[60 * index : 60 * index + 64, 100:196]).save(path / f"{index}.png")
    return path


@pytest.fixture(scope="module")
def paths(folder):
    return sorted(map(str, folder.iterdir()))


def _rd(folder, out, shard=""):
    words = ["--codecs=jpeg,jpeg2000", f"--data={folder}", f"--out={out}", "--jobs=2"]
    cli.main(["eval", "rd", *words, f"--shard={shard}"])


@pytest.fixture(scope="module")
def measured(folder, tmp_path_factory):
    """By one process, and by three shards."""
    path = tmp_path_factory.mktemp("rows")
    _rd(folder, path / "whole")
    for number in (1, 2, 3):
        _rd(folder, path / f"part{number}", f"{number}/3")
    return path


def _merge(measured, out, numbers=(1, 2, 3)):
    cli.main(["eval", "merge", str(out), *(str(measured / f"part{n}") for n in numbers)])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shards_have_each_image_once_and_are_alike_in_size(paths, count):
    parts = [shards.part(paths, f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(path for part in parts for path in part) == paths
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert shards.part(paths, "") == paths


def test_contents_decide_not_names(paths, tmp_path):
    """Machines whose folders have other names agree."""
    for index, path in enumerate(reversed(paths)):
        shutil.copy(path, tmp_path / f"other{index}.png")
    others = sorted(map(str, tmp_path.iterdir()))
    one, other = (sorted(map(file_digest, shards.part(p, "2/3"))) for p in (paths, others))
    assert one == other


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "-1/2", "1/0", "1/2/3"])
def test_shards_that_are_none_are_refused(shard, folder, tmp_path):
    with pytest.raises(
        UsageError, match=re.escape(f"--shard is I/N, from 1/N to N/N, got '{shard}'")
    ):
        _rd(folder, tmp_path / "out", shard)


def test_more_shards_than_images_are_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="^--shard=1/6: there are 5 images only$"):
        _rd(folder, tmp_path / "out", "1/6")


def test_the_merged_table_is_that_of_one_process(measured, tmp_path, capsys):
    _merge(measured, tmp_path / "all")
    assert "rows.csv: 80 rows, 80 of them new" in capsys.readouterr().out
    rows = (tmp_path / "all" / "rows.csv").read_bytes()
    _merge(measured, tmp_path / "all")
    assert "rows.csv: 80 rows, 0 of them new" in capsys.readouterr().out
    assert (tmp_path / "all" / "rows.csv").read_bytes() == rows
    cli.main(["eval", "rd", "--remake", f"--out={tmp_path / 'all'}"])
    for name in ("table.md", "rd.png"):
        whole, merged = measured / "whole" / name, tmp_path / "all" / name
        assert whole.read_bytes() == merged.read_bytes(), name
    about = json.loads((tmp_path / "all" / "about.json").read_text())
    assert about["shards"].startswith("3, measured apart")
    assert set(about["codecs"]) == {"jpeg", "jpeg2000"}


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (["restoration", "--methods=jpeg", "--qualities=10,20"], RESTORATION),
        pytest.param(["distortions"], DIVERGENCES, marks=pytest.mark.long),
        pytest.param(
            ["jpeg_rd", "--models=tables:jpeg-tables-0.006"], CODED_COLOR, marks=pytest.mark.long
        ),
    ],
    ids=["restoration", "distortions", "jpeg_rd"],
)
def test_other_measurements_have_the_rows_of_one_process(words, schema, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for index in range(3):  # as large as MS-SSIM's windows need
        image = data.astronaut()[60 * index : 60 * index + 176, 100:292]
        Image.fromarray(image).save(images / f"{index}.png")
    words = ["eval", *words, f"--data={images}"]
    whole, merged = measured_by_two(words, tmp_path / "rows", schema)
    assert len(whole) >= 3
    assert merged == whole


def test_points_measured_elsewhere_are_those_of_the_shards_images(measured, folder, tmp_path):
    points = tmp_path / "bpg.csv"
    table = rd_report.load(str(measured / "whole"))[0]
    table = table[table.codec == "jpeg"].assign(codec="bpg")
    table[["codec", "image", "bpp_file", *LIBVMAF_MEASURES]].to_csv(points, index=False)
    cli.main(
        ["eval", "rd", "--codecs=jpeg", f"--data={folder}", f"--points={points}", "--shard=1/2",
         f"--out={tmp_path / 'part'}"]
    )  # fmt: skip
    kept = {row["image"] for row in rows.read(tmp_path / "part" / "rows.csv")}
    others = set(rd_report.elsewhere(str(tmp_path / "part")).image)
    assert others == kept
    assert 0 < len(kept) < 5


def test_rows_that_several_folders_have_are_there_once(measured, tmp_path, capsys):
    folders = [str(measured / name) for name in ("whole", "part1", "part2", "part3")]
    cli.main(["eval", "merge", str(tmp_path / "all"), *folders])
    assert "rows.csv: 160 rows, 80 of them new" in capsys.readouterr().out
    merged, whole = tmp_path / "all" / "rows.csv", measured / "whole" / "rows.csv"
    assert merged.read_bytes() == whole.read_bytes()
    assert not merged.with_name("superseded.csv").exists()


def test_a_merged_folder_goes_on(measured, folder, tmp_path, caplog):
    """The command without a shard finds all rows there."""
    _merge(measured, tmp_path / "all")
    before = (tmp_path / "all" / "rows.csv").read_bytes()
    _rd(folder, tmp_path / "all")
    assert (tmp_path / "all" / "rows.csv").read_bytes() == before


def test_what_does_not_belong_together_is_refused(measured, folder, tmp_path):
    with pytest.raises(UsageError, match="^shard 2/3 is missing"):
        _merge(measured, tmp_path / "all", (1, 3))
    _rd(folder, tmp_path / "half", "1/2")
    with pytest.raises(UsageError, match="^shards of different divisions: 1/2, 1/3$"):
        cli.main(["eval", "merge", "x", str(measured / "part1"), str(tmp_path / "half")])
    shutil.copytree(measured / "part1", tmp_path / "copy")
    with pytest.raises(UsageError, match="are both shard 1/3"):
        cli.main(["eval", "merge", "x", str(measured / "part1"), str(tmp_path / "copy")])
    with pytest.raises(UsageError, match="OUT is one of the shards"):
        cli.main(["eval", "merge", "x", "x", "y"])
    with pytest.raises(UsageError, match="^no rows.csv or nll.csv in"):
        cli.main(["eval", "merge", str(tmp_path / "all"), str(tmp_path / "nowhere")])
    assert not (tmp_path / "all").exists()


def test_rows_that_something_else_decided_are_refused_by_name(tmp_path, monkeypatch):
    for name, level in (("one", 0), ("two", 1)):
        place = tmp_path / name / "images"
        place.mkdir(parents=True)
        Image.fromarray(data.astronaut()[:64, :96] ^ level).save(place / "a.png")
        monkeypatch.chdir(tmp_path / name)
        cli.main(
            ["eval", "rd", "--codecs=jpeg2000", "--anchor=jpeg2000", "--data=images", "--out=rows"]
        )
    folders = [str(tmp_path / name / "rows") for name in ("one", "two")]
    with pytest.raises(UsageError, match="^jpeg2000, .*, images, a: two rows of different content"):
        cli.main(["eval", "merge", str(tmp_path / "all"), *folders])
    cli.main(["eval", "merge", str(tmp_path / "all"), folders[0]])
    with pytest.raises(UsageError, match="two rows of different content"):
        cli.main(["eval", "merge", str(tmp_path / "all"), folders[1]])


def test_a_folder_without_rows_is_named(measured, tmp_path):
    folders = [str(measured / "whole"), str(tmp_path)]
    with pytest.raises(WorkError, match=f"^{tmp_path} has no rows.csv: measure its shard"):
        cli.main(["eval", "merge", str(tmp_path / "all"), *folders])
