"""Rate and quality: codecs behind one interface, the report's arithmetic, the study."""

import io
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import lossylab
from lossylab.eval import export, rd, rd_report
from lossylab.eval.app import UsageError, WorkError
from lossylab.eval.codecs import Jpeg, Learned
from lossylab.models.bls2017 import BLS2017
from lossylab.train import proxiqa_study

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    tf.random.set_seed(4)
    path = tmp_path_factory.mktemp("mse_0.1") / "export"
    export.save_codec(BLS2017(4), str(path), {})
    return str(path)


def _rows():
    """Two pictures; codec 'b' gets 10 more at any rate than 'a', whose score is log2 of it."""
    rows = []
    for picture, shift in (("x", 0.0), ("y", 1.0)):
        for codec, gain, rates in (("a", 0.0, (0.25, 1.0, 4.0)), ("b", 10.0, (0.5, 2.0, 8.0))):
            for rate in rates:
                score = np.log2(rate) + gain + shift
                rows.append(
                    {
                        "codec": codec,
                        "setting": str(rate),
                        "picture": picture,
                        "bpp_file": rate,
                        "bpp_estimated": rate,
                        **dict.fromkeys(("psnr", "ssim", "ms_ssim", "vif", "vmaf"), score),
                    }
                )
    return pd.DataFrame(rows)


def test_difference_at_equal_rate_interpolates_within_the_curve_only():
    difference, count = rd_report.difference_at_equal_rate(_rows(), "b", "a", "vmaf")
    assert difference == pytest.approx(10)
    assert count == 4  # 8 bits per pixel lie beyond a's curve, for both pictures
    reverse, count = rd_report.difference_at_equal_rate(_rows(), "a", "b", "vmaf")
    assert (reverse, count) == (pytest.approx(-10), 4)


def test_difference_without_overlap_says_so():
    rows = _rows()
    rows.loc[rows.codec == "b", "bpp_file"] *= 100
    difference, count = rd_report.difference_at_equal_rate(rows, "b", "a", "vmaf")
    assert np.isnan(difference)
    assert count == 0
    assert "| a | 0 | 0 of 0 pictures | n/a |" in rd_report.markdown(rows, "title")


def test_jpeg_is_444_with_standard_tables(pictures):
    data, bits = Jpeg(50).encode(pictures[0])
    image = Image.open(io.BytesIO(data))
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    buffer = io.BytesIO()
    Image.fromarray(pictures[0]).save(buffer, "JPEG", quality=50, subsampling=0, optimize=True)
    assert len(buffer.getvalue()) < len(data)
    assert np.isnan(bits)
    assert Jpeg(50).decode(data).shape == pictures[0].shape


def test_report_has_every_file_and_row(exported, pictures, tmp_path):
    (tmp_path / "in").mkdir()
    for i, picture in enumerate(pictures[:2]):
        Image.fromarray(picture).save(tmp_path / "in" / f"{i}.png")
    arguments = [
        f"--models=mse:{exported}",
        f"--data={tmp_path / 'in'}",
        f"--out={tmp_path / 'out'}",
    ]
    rd.main(["rd", *arguments, "--keep_files", "--title=Tested", f"--cache_dir={tmp_path / 'c'}"])
    rows = pd.read_csv(tmp_path / "out" / "rows.csv")
    assert len(rows) == 2 * (1 + len(rd.JPEG_QUALITIES))
    assert set(rows.codec) == {"jpeg", "mse"}
    files = sorted((tmp_path / "out" / "files").rglob("*.lossy"))
    assert len(files) == 2
    learned = rows[rows.codec == "mse"].sort_values("picture")
    assert [f.stat().st_size for f in files] == list(learned.bytes)
    np.testing.assert_allclose(
        rows.bpp_file, 8 * rows.bytes / (rows.width * rows.height), rtol=1e-5
    )
    assert rows.ms_ssim.isna().all()  # the pictures are too small for libvmaf's
    assert rows.vmaf.between(0, 100).all()
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["protocol"]["rate"].startswith("bytes of the whole file")
    assert (tmp_path / "out" / "table.md").read_text().startswith("# Tested")
    for name in ("rd.png", "rd.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 5000
    with Image.open(tmp_path / "out" / "rd.png") as image:
        width, height = image.size
    assert min(width, height) > 500


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("rows.csv")), ids=lambda p: p.parent.name)
def test_committed_tables_are_those_of_their_rows(path):
    rows, title = rd_report.load(str(path.parent))
    assert (path.parent / "table.md").read_text() == rd_report.markdown(rows, title)
    assert "steps" in title or "paper" not in title


def test_remaking_without_rows_says_so(tmp_path):
    with pytest.raises(WorkError, match="has no usable rows.csv and about.json"):
        rd.main(["rd", f"--out={tmp_path}", "--remake"])


def test_learned_codec_names_its_weights(exported):
    assert Learned("mse", "1", exported).version().startswith("bls2017 ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out=x"], "--models is needed"),
        (["--out=x", "--models=jpeg:y"], "'jpeg' is the name of the baseline"),
        (["--models=nothing", "--out=x"], "--models takes NAME:EXPORT, got nothing"),
        ([], "--out is needed"),
        (["--out=x", "more"], "unexpected arguments: more"),
    ],
)
def test_wrong_flags_of_rd(flags, message):
    flags = [*flags, "--data=sample_test"]
    with pytest.raises(UsageError, match=message):
        rd.main(["rd", *flags])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--out is needed"),
        (["--out=x", "--train_data=sample_train"], "--test_data is needed"),
        (["--metrics=mse,lpips"], "--metrics knows mse, ssim, ms_ssim, vmaf, vif, not lpips"),
        (["--lmbdas=0.1,zero"], "--lmbdas takes positive numbers, got 'zero'"),
        (["--test_data=sample_train"], "--test_data overlaps --train_data"),
    ],
)
def test_wrong_flags_of_the_study(flags, message):
    whole = ["--out=x", "--train_data=sample_train", "--test_data=sample_test"]
    flags = flags if message.endswith("is needed") else [*whole, *flags]
    with pytest.raises(UsageError, match=message):
        proxiqa_study.main(["study", *flags])


def test_study_trains_compares_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rd, "JPEG_QUALITIES", (5, 50))
    flags = [
        *(f"--out={tmp_path}", "--train_data=sample_train", "--test_data=sample_test"),
        *("--metrics=mse,vmaf", "--lmbdas=0.01", "--base_steps=2", "--steps=2", "--num_filters=4"),
        *("--proxy_steps=2", "--alpha=0.75"),
    ]
    proxiqa_study.main(["study", *flags])
    first = capsys.readouterr().out
    assert "2 + 2 steps of 8 patches of 128x128, N = 4, alpha = 0.75" in first
    rows = pd.read_csv(tmp_path / "results" / "rows.csv")
    assert set(rows.setting[rows.codec != "jpeg"]) == {"mse_0.01", "vmaf_0.01"}
    vmaf = json.loads((tmp_path / "vmaf_0.01" / "options.json").read_text())
    assert vmaf["lmbda"] == pytest.approx(0.04)  # so that the pixel loss weighs 0.01
    proxiqa_study.main(["study", *flags])
    assert capsys.readouterr().out == first
