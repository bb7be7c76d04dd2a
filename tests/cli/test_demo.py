"""The demo: its words follow its rows, and all of it works on a small image."""

import pathlib

import markupsafe
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.cli.demo import __main__ as demo
from lossylab.cli.demo import verdict
from lossylab.core.errors import ExportError
from lossylab.inference.export import zoo


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ([0.5, 1.5], "wins by VMAF (+1.00, better on 2 of 2)"),
        ([-0.5, -1.5], "loses by VMAF (-1.00, better on 0 of 2)"),
        ([-1.0, 2.0], "undecided by VMAF (+0.50, better on 1 of 2)"),
        ([np.nan, -2.0], "loses by VMAF (-2.00, better on 0 of 1)"),
        ([np.nan, np.nan], "not comparable by VMAF"),
    ],
)
def test_a_method_wins_only_where_all_images_say_so(gaps, said):
    assert verdict.judged(pd.Series(gaps), "vmaf") == said


def test_packaged_models_of_one_training_are_one_curve():
    assert verdict.curve("bls-mse-0.016") == verdict.curve("bls-mse-0.064") == "bls_mse"
    curves = {verdict.curve(name) for name in demo._packaged("jpeg_encoder")}
    assert curves == {verdict.TABLES}
    base = zoo.card(demo._smallest())
    assert (base["kind"], base["options"]["metric"]) == ("codec", "mse")


def test_without_packaged_codecs_the_demo_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path)
    with pytest.raises(ExportError, match="no codec comes with this lossylab"):
        cli.main(["demo", f"--out={tmp_path}/demo"])


@pytest.mark.long
def test_the_demo_runs_and_goes_on(tmp_path, monkeypatch, images, capsys):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("photos").mkdir()
    big = np.tile(images[0], (5, 5, 1))[:176, :192]
    Image.fromarray(big).save("photos/a.png")
    tiny = ["--data=photos", "--train_data=photos", "--steps=1", "--proxy_steps=1"]
    cli.main(["demo", *tiny])
    said = capsys.readouterr().out
    assert said.endswith("\nopen demo/report.html\n")
    text = pathlib.Path("demo/verdict.txt").read_text()
    assert text in said
    assert markupsafe.escape(text.strip()) in pathlib.Path("demo/report.html").read_text()
    for ours in ("BLS MSE", "codec trained on for VMAF", "learned JPEG tables"):
        for other in ("JPEG", "JPEG 2000"):
            assert f"{ours} against {other}" in said
    page = pathlib.Path("demo/report.html").read_text()
    assert "equal_rate" in page
    with Image.open("demo/files/a_learned.jpg") as opened:
        assert opened.format == "JPEG"
        assert opened.size == (192, 176)
    rows = pathlib.Path("demo/results/rows.csv").read_bytes()
    cli.main(["demo", *tiny])
    assert capsys.readouterr().out == said
    assert pathlib.Path("demo/results/rows.csv").read_bytes() == rows
