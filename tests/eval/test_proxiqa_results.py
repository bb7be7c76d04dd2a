"""ProxIQA's tables, figures and claims: from made-up rows whose answer is known, and committed."""

import dataclasses
import json
import logging
import math
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import UsageError, WorkError
from lossylab.eval.proxiqa import __main__ as proxiqa
from lossylab.eval.proxiqa import evidence as proxiqa_evidence
from lossylab.eval.proxiqa import figures as proxiqa_figures
from lossylab.eval.proxiqa import tables as proxiqa_tables
from lossylab.eval.proxiqa.claims import CHECKS
from lossylab.eval.report import claims, comparison, crop_grid
from lossylab.eval.schemas import CODED

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
RATES = np.geomspace(0.1, 1.6, 5)
METRICS = tuple(proxiqa_tables.METRICS.values())
TITLE = "Made up"


def _row(codec, image, point, rate, quality, encode_ms=10.0):
    row = dict.fromkeys(CODED.columns, "x") | {"width": 16, "height": 16, "bytes": 9, "points": 5}
    row |= {"codec": codec, "image": image, "point": point, "setting": str(point)}
    row |= {"bpp_file": float(rate), "bpp_estimated": math.nan, "decode_ms": 5.0}
    row |= dict.fromkeys(("psnr_rgb", "vif_scale0", *METRICS), float(quality))
    return row | {"encode_ms": float(encode_ms)}


def _curves(**factors):
    """Rows of codecs that need so many times the anchor's rate for the same quality."""
    return [
        _row(codec, image, i, factor * rate, 30 + 5 * math.log2(rate) + shift)
        for codec, factor in {"bls_mse": 1.0, **factors}.items()
        for image, shift in (("kodim01", 0.0), ("kodim21", 1.0))
        for i, rate in enumerate(RATES)
    ]


def _folder(path, table, timing=(), options=None, **training):
    path.mkdir(parents=True)
    for name, lines in (("rows.csv", table), ("timing/rows.csv", timing)):
        if lines:
            file = rows.Rows(path / name, CODED.columns)
            for row in lines:
                file.append(row)
            file.close()
    about = {"title": TITLE, "anchor": "bls_mse", "data": "kodak"}
    about |= {"packages": {"tensorflow-compression": "2.14.1"}}
    about["codecs"] = {"jpeg": {"version": "libjpeg-turbo 3"}}
    (path / "about.json").write_text(json.dumps(about))
    for name, (proxy, score) in training.items():
        (path / "training").mkdir(exist_ok=True)
        frame = pd.DataFrame({"step": range(1, 101), "proxy": proxy, "score": score, "more": 0})
        frame.to_csv(path / "training" / f"{name}.csv", index=False)
    if options is not None:
        (path / "training" / "about.json").write_text(json.dumps(options))
    return path


@pytest.fixture
def folder(tmp_path):
    table = _curves(jpeg=2.0, bls_vmaf_p=0.8, bls_ssim_p=1.1, jpeg2000=1.0001)
    timing = [
        _row(codec, "kodim01", i, rate, 30, ms * (1 + slope * i))
        for codec, ms, slope in (("bls_mse", 50, 0), ("bls_vmaf_p", 51, 0), ("hevc444", 99, 0.5))
        for i, rate in enumerate(RATES)
    ]
    return _folder(
        tmp_path / "results" / "proxiqa",
        table,
        timing,
        options={"frozen": {"optimize": "frozen_proxy"}, "alternating": {"optimize": "proxy"}},
        frozen=(np.linspace(60, 99, 100), 50),
        alternating=(80, 79),
    )


def test_table_2_has_the_rates_that_rows_imply(folder):
    cells = {
        (cell.row, cell.column): cell
        for cell in proxiqa_tables.table_2(proxiqa_evidence.load(str(folder)))
    }
    assert len(cells) == 9 * 5
    assert cells["JPEG", "PSNR"].mark == "*"  # five rates
    assert cells["JPEG", "PSNR"].ours == pytest.approx(100, abs=1e-6)
    assert cells["JPEG", "PSNR"].verdict == "within the paper's spread"  # 113.99 +- 15.86
    assert cells["JPEG", "MSIM"].verdict == "same sign"  # 149.86 +- 25.04
    assert cells["BLS VMAF_p", "VMAF"].ours == pytest.approx(-20, abs=1e-6)
    assert cells["BLS SSIM_p", "SSIM"].verdict == "other sign"
    assert cells["BMSHJ MSE", "VMAF"].verdict == "not measured"
    assert all(cell.our_spread == pytest.approx(0, abs=1e-6) for cell in cells.values()
               if math.isfinite(cell.ours))  # fmt: skip


def test_other_data_sets_are_not_compared_with_kodak(folder):
    evidence = proxiqa_evidence.load(str(folder))
    assert not any(math.isfinite(c.ours) for c in proxiqa_tables.table_2(evidence, "Tecnick"))


def test_table_1_is_by_image(folder):
    cells = proxiqa_tables.table_1(proxiqa_evidence.load(str(folder)))
    assert len(cells) == 24 * 12
    measured = {(c.row, c.column): c.ours for c in cells if math.isfinite(c.ours)}
    assert {row for row, _ in measured} == {"Kodim01", "Kodim21"}
    assert measured["Kodim21", "VMAF_p PSNR"] == pytest.approx(-20, abs=1e-6)


def test_tables_3_to_5(folder):
    evidence = proxiqa_evidence.load(str(folder))
    three = {line["codec"]: line for line in proxiqa_tables.table_3(evidence)}
    assert three["JPEG"]["ours"] == "libjpeg-turbo 3"
    assert three["HEVC"]["ours"] == "not measured"
    assert three["Ballé [36]"]["paper"] == "Tensorflow Compression Release 1.2"
    four = {(c.row, c.column): c.ours for c in proxiqa_tables.table_4(evidence)}
    assert four["SSIM BD-rate", "SSIM_p"] == pytest.approx(10, abs=1e-6)
    assert math.isnan(four["SSIM BD-rate", "SSIM"])
    five = {(c.row, c.column): c for c in proxiqa_tables.table_5(evidence)}
    assert five["BLS MSE/CPU", "Encode"].ours == pytest.approx(50)
    assert five["HEVC/CPU", "Encode"].ours == pytest.approx(99 * 2)
    assert five["BLS MSE/CPU", "Decode"].verdict == f"{5 / 117.93:.2f} times"


def _judged(evidence):
    return {each.claim.number: each for each in proxiqa.PAPER.judgements(evidence)}


def test_claims_are_decided_by_the_rows(folder):
    evidence = proxiqa_evidence.load(str(folder))
    holds = {number: check.decide(evidence).holds for number, check in CHECKS.items()}
    assert holds["1a"] is True
    assert holds["1d"] is holds["2a"] is False  # the made-up codec saves rate at equal PSNR too
    assert holds["2b"] is holds["4a"] is holds["5a"] is holds["5b"] is None
    assert holds["3a"] is True
    assert holds["8a"] is True
    assert "VMAF -20.0 ± 0.0 %" in CHECKS["1a"].decide(evidence).measured


def test_one_training_each_decides_nothing(folder):
    """Whatever the images say: the settings here tell no lambda, and no seed."""
    judged = _judged(proxiqa_evidence.load(str(folder)))
    assert judged["1a"].verdict is claims.Verdict.UNDECIDED
    assert judged["1a"].reason == "one training each, 3 are needed"
    assert judged["3a"].verdict is claims.Verdict.HOLDS


def _trained(factors, lambdas=(0.001, 0.01, 0.1, 1.0, 3.0)):
    """Rows whose settings tell lambdas: each is a training from the same start."""
    return [
        row | {"setting": f"mse_{float(lambdas[row['point']])}"}
        for row in _curves(**factors)
        if row["point"] < len(lambdas)
    ]


def test_pairs_of_trainings_from_the_same_start_decide(tmp_path):
    table = _trained({"bls_vmaf_p": 0.8, "bls_ms_ssim_p": 1.0, "bmshj_mse": 0.8})
    judged = _judged(proxiqa_evidence.load(str(_folder(tmp_path / "p", table))))
    assert judged["1a"].verdict is claims.Verdict.HOLDS
    assert judged["5a"].reason == "one training each, 3 are needed"  # another network's start


def test_a_codec_trained_for_another_score_must_not_do_as_well(tmp_path):
    table = _trained({"bls_vmaf_p": 0.8, "bls_ms_ssim_p": 0.7})
    judged = _judged(proxiqa_evidence.load(str(_folder(tmp_path / "p", table))))
    assert judged["1a"].verdict is claims.Verdict.UNDECIDED
    assert judged["1a"].reason == "BLS MSIM_p in its place fulfills it too"


def test_another_codec_that_was_not_measured_is_no_rival(tmp_path):
    """One at least is needed."""
    table = _trained({"bls_vmaf_p": 0.8, "bls_ssim_p": 1.0})
    judged = _judged(proxiqa_evidence.load(str(_folder(tmp_path / "p", table))))
    assert judged["1a"].verdict is claims.Verdict.HOLDS
    assert [words.partition(":")[0] for words in judged["1a"].rivals] == [
        *("the anchor itself", "BLS SSIM_p in its place", "BLS MSIM_p in its place"),
    ]
    assert judged["1a"].rivals[2].endswith("not measured")
    none = _judged(
        proxiqa_evidence.load(str(_folder(tmp_path / "q", _trained({"bls_vmaf_p": 0.8}))))
    )
    assert none["1a"].reason == "not measured: BLS SSIM_p in its place"


def _saturating(saving):
    """SSIM that saturates, as real curves do, of a codec that saves so much at every rate."""
    table = _trained({"bls_ssim_p": 1 - saving})
    for row in table:
        row["ssim"] = 1 - math.exp(-8 * RATES[row["point"]]) - 0.001 * (row["image"] == "kodim21")
    return table


def test_a_constant_saving_is_decided_whatever_the_quality(tmp_path):
    """At equal rate the gaps of quality differ by the rate: that is no noise."""
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", _saturating(0.06))))
    decision = CHECKS["2a"].decide(evidence)
    assert decision == claims.Decision("SSIM -6.0 ± 0.0 % (5 rates: -6.0 ± 0.0 %); 1 seed", True)
    assert _judged(evidence)["2a"].verdict is claims.Verdict.HOLDS


def test_a_point_beyond_the_anchor_does_not_count(tmp_path):
    table = _saturating(0.06)
    last = [row for row in table if row["codec"] == "bls_ssim_p" and row["point"] == 4]
    for row in last:
        row["ssim"] += 0.01
        row["bpp_file"] *= 3  # an extrapolated curve would call that a loss
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    assert list(evidence.pairs("bls_ssim_p", "ssim").dropna(axis=1)) == [0.001, 0.01, 0.1, 1.0]
    assert "(4 rates: -6.0 ± 0.0 %)" in CHECKS["2a"].decide(evidence).measured
    first = [row for row in table if row["codec"] == "bls_mse" or row["point"] in (0, 4)]
    for more in (1, 2):
        first += [
            row | {"setting": "no lambda", "point": 4 + more, "ssim": row["ssim"] + more / 100}
            for row in last
        ]
    decision = CHECKS["2a"].decide(proxiqa_evidence.load(str(_folder(tmp_path / "q", first))))
    assert "(comparable rates: 1); 1 seed" in decision.measured
    assert decision.holds is None


def test_anchors_that_do_not_rise_have_no_pairs(tmp_path):
    table = _saturating(0.06)
    for row in table:
        if row["codec"] == "bls_mse" and row["point"] == 2:
            row["ssim"] = 0.1
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    assert evidence.pairs("bls_ssim_p", "ssim").isna().all(axis=None)


def test_psnr_at_equal_rate_is_compared_where_all_codecs_reach(tmp_path):
    table = _trained({"bls_ssim": 1.0, "bls_ssim_p": 1.0, "bls_ssim_mse": 1.0})
    for row in table:
        row["psnr"] -= {"bls_ssim": 3, "bls_ssim_p": 1, "bls_ssim_mse": 1}.get(row["codec"], 0)
    for row in table:
        if row["codec"] == "bls_ssim" and row["point"] == 4:
            row["bpp_file"] *= 2  # beyond the anchor
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    assert evidence.quality_gaps("bls_ssim", "psnr").dropna(axis=1).shape[1] == 4
    decision = CHECKS["4c"].decide(evidence)
    assert decision == claims.Decision("-3.0 dB against -1.0 and -1.0 dB", True)


def test_seeds_go_before_rates(tmp_path):
    """Three trainings each have an interval of their own."""
    names = {"bls_vmaf_p": 0.8, "bls_vmaf_p_seed2": 0.81, "bls_vmaf_p_seed3": 0.79}
    table = _trained({**names, "bls_mse_seed2": 1.0, "bls_mse_seed3": 1.0})
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    measured = CHECKS["1a"].decide(evidence).measured
    assert measured.endswith("%; 3 seeds")
    assert "rates" not in measured


def test_trainings_that_disagree_decide_nothing(tmp_path):
    """All images agree at every lambda, but half of the trainings lose."""
    table = _trained({"bls_vmaf_p": 1.0, "bls_ms_ssim_p": 1.0})
    for row in table:
        if row["codec"] == "bls_vmaf_p":
            row["vmaf"] += 1.2 if row["point"] % 2 else -0.8
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    assert evidence.difference("bls_vmaf_p", "vmaf").margin < 1
    assert CHECKS["1a"].decide(evidence).holds is None


def test_a_proxy_that_had_not_learned_refutes_nothing(tmp_path):
    table = _trained({"bls_ssim_p": 1.2})
    place = _folder(tmp_path / "p", table, alternating_ssim=(80, 79))
    reason = "whether the proxy had learned was not measured"
    assert _judged(proxiqa_evidence.load(str(place)))["2a"].reason == reason
    path = place / "training" / "alternating_ssim.csv"
    log = pd.read_csv(path)
    for correlation, verdict in ((0.2, claims.Verdict.UNTESTABLE), (0.9, claims.Verdict.FAILS)):
        log.assign(proxy_correlation=correlation).to_csv(path, index=False)
        assert _judged(proxiqa_evidence.load(str(place)))["2a"].verdict is verdict


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (None, "training/about.json does not tell the options of frozen and alternating"),
        ({"frozen": {}}, "training/about.json does not tell the options of frozen and alternating"),
        (
            {"frozen": {"filters": 96, "steps": 5, "seed": 3}, "alternating": {"filters": 128}},
            "frozen and alternating also differ in filters, steps",
        ),
        ({"frozen": {"seed": 3, "filters": 96}, "alternating": {"seed": 4, "filters": 96}}, ""),
    ],
)
def test_a_frozen_proxy_is_compared_at_one_budget(options, reason, tmp_path):
    scores = {"frozen": (np.linspace(60, 99, 100), 50), "alternating": (80, 79)}
    place = _folder(tmp_path / "p", _curves(), options=options, **scores)
    found = _judged(proxiqa_evidence.load(str(place)))["3a"]
    assert found.reason == reason
    undecided = claims.Verdict.UNDECIDED
    assert found.verdict is (undecided if reason else claims.Verdict.HOLDS)


def test_damaged_options_of_trainings_are_said(tmp_path):
    place = _folder(tmp_path / "p", _curves(), options=[1], frozen=(60, 59))
    with pytest.raises(WorkError, match="about.json is no table of options by run"):
        proxiqa_evidence.load(str(place))


def _alternating(tmp_path, proxy, score, steps):
    place = _folder(tmp_path / "p", _curves(), alternating=(0, 0))
    log = pd.DataFrame({"step": steps, "proxy": proxy, "score": score, "proxy_correlation": 0.9})
    log.to_csv(place / "training" / "alternating.csv", index=False)
    return proxiqa_evidence.load(str(place))


def test_a_proxy_must_follow_better_than_a_line(tmp_path):
    steps = np.arange(10, 410, 10)
    score = 70 + steps / 100 + np.where(steps % 20, 0.5, -0.5)
    good = _alternating(tmp_path / "a", score + 0.1, score, steps)
    assert _judged(good)["3b"].verdict is claims.Verdict.HOLDS
    assert any(words.startswith("a line: ") for words in _judged(good)["3b"].rivals)
    rising = _alternating(tmp_path / "b", 70 + steps / 100, score, steps)  # the trend alone
    assert CHECKS["3b"].decide(rising).holds is False


def test_rows_of_training_weigh_as_many_steps_as_they_are_of(tmp_path):
    steps = np.cumsum([25, 1] * 30)
    score = 70 + np.sin(steps)
    proxy = np.where(np.arange(60) % 2, score + 2, score)  # wrong in rows of one step
    decision = CHECKS["3b"].decide(_alternating(tmp_path, proxy, score, steps))
    assert decision.holds
    assert decision.measured.startswith(f"rms gap {2 / 26**0.5:.2f} points")


def test_one_codec_of_even_times_decides(tmp_path):
    """Whether or not the learned one was timed."""
    slopes = {"jpeg": 0.1, "jpeg2000": 0.0, "hevc444": 0.5}

    def decision(folder):
        timing = [
            _row(codec, "kodim01", i, rate, 30, 50 * (1 + slope * i))
            for codec, slope in slopes.items()
            for i, rate in enumerate(RATES)
        ]
        table = _curves(**dict.fromkeys(slopes, 1.0))
        evidence = proxiqa_evidence.load(str(_folder(folder, table, timing)))
        return CHECKS["8b"].decide(evidence)

    assert decision(tmp_path / "p").holds is False
    slopes["jpeg2000"] = 0.2
    assert decision(tmp_path / "q") is claims.UNMEASURED


def test_times_are_compared_at_the_rates_that_both_codecs_have(tmp_path, monkeypatch):
    """High rates take longer: one that has these alone is no slower for that."""
    timing = [
        _row(codec, "kodim01", i, i + 1, 30, 50 * (1 + i)) | {"setting": f"{codec[4:]}_{lmbda}"}
        for codec, rates in {"bls_mse": (0.001, 0.004, 0.016), "bls_vmaf_p": (0.016,)}.items()
        for i, lmbda in enumerate((0.001, 0.004, 0.016))
        if lmbda in rates
    ]
    place = _folder(tmp_path / "p", _curves(bls_vmaf_p=0.8), timing)
    found = CHECKS["8a"].decide(proxiqa_evidence.load(str(place)))
    assert (found.measured, found.holds) == ("1.00 times to encode, 1.00 to decode", True)
    drawn = []
    monkeypatch.setattr(proxiqa_figures.plots, "label", lambda codec: drawn.append(codec) or codec)
    figures = proxiqa_figures.figures(proxiqa_evidence.load(str(place)))
    assert figures["fig12_times"](tmp_path / "times")
    assert drawn == ["bls_mse"]  # a single rate is no curve
    other = [row for row in timing if not row["setting"].endswith("mse_0.016")]
    place = _folder(tmp_path / "q", _curves(bls_vmaf_p=0.8), other)
    assert CHECKS["8a"].decide(proxiqa_evidence.load(str(place))) is claims.UNMEASURED


def test_cells_say_how_much_of_the_curves_they_are_of(tmp_path):
    table = [
        row
        for row in _curves(bls_ssim_p=0.9, bls_vmaf_p=0.9, jpeg=2.0)
        if row["codec"] != "bls_ssim_p" or row["point"] < 4
    ]
    for row in table:
        if row["codec"] == "bls_ssim_p":
            row["psnr"] -= 12  # of 20 dB
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    cells = {(c.row, c.column): c for c in proxiqa_tables.table_2(evidence)}
    assert cells["BLS SSIM_p", "PSNR"].mark == "* (9%)"  # 3 of 32 dB
    assert cells["BLS SSIM_p", "SSIM"].mark == "*"
    assert dict([cells["BMSHJ MSE", "PSNR"].beside])["ours by cubic, %"] == "n/a"


def test_claims_fail_where_the_rows_say_so(tmp_path):
    table = _curves(jpeg=0.5, jpeg2000=1.0, hevc444=1.2, hevc420=1.1, bmshj_mse=0.9)
    for row in table:
        if row["codec"] == "bmshj_mse":
            row["vmaf"] -= 3  # one metric that gets worse
    timing = [
        _row(codec, "kodim01", i, rate, 30, 50 * (1 + (codec == "bls_vmaf_p") * i))
        for codec in ("bls_mse", "bls_vmaf_p", "hevc444", "jpeg", "jpeg2000")
        for i, rate in enumerate(RATES)
    ]
    place = _folder(tmp_path / "p", table, timing, frozen=(60, 59), alternating=(90, 70))
    evidence = proxiqa_evidence.load(str(place))
    failing = ("3a", "3b", "5a", "6a", "6b", "8a", "8b")
    assert [CHECKS[n].decide(evidence).holds for n in failing] == [False] * 7


def test_noise_decides_no_claim(tmp_path):
    """A mean that two images disagree on."""
    table = _curves(bls_vmaf_p=0.9)
    for row in table:
        if row["codec"] == "bls_vmaf_p" and row["image"] == "kodim21":
            row["bpp_file"] *= 1.15
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    assert CHECKS["1a"].decide(evidence).holds is None


def test_claims_need_every_image(tmp_path):
    table = [
        row
        for row in _curves(bls_vmaf_p=0.8)
        if (row["codec"], row["image"]) != ("bls_vmaf_p", "kodim21")
    ]
    evidence = proxiqa_evidence.load(str(_folder(tmp_path / "p", table)))
    assert CHECKS["1a"].decide(evidence) is claims.UNMEASURED
    assert math.isnan(evidence.bd("bls_vmaf_p", "vmaf")[0])


def test_command_writes_tables_figures_and_claims(folder, caplog, capsys):
    _crops(folder / "crops" / "fig08_crops")
    with caplog.at_level(logging.INFO, logger="lossylab"):
        cli.main(["eval", "proxiqa", f"--results={folder}"])
    page = (folder / "tables.md").read_text()
    assert page.count(TITLE) == 1  # the budget stands once
    assert "| Kodim01 | 14.4 / 10.0 |" in page
    for i in range(1, 6):
        assert (folder / "tables" / f"table{i}.tex").read_text().count(r"\begin{tabular}") == 1
        lines = (folder / "tables" / f"table{i}.csv").read_text().splitlines()
        assert len({line.count(",") for line in lines}) >= 1
        assert len(lines) > 2
    names = ("fig07_proxy_and_vmaf", "fig08_crops", "fig09_ssim_curves", "fig12_times")
    for name in names:
        for suffix in (".png",) if name.endswith("crops") else (".png", ".svg"):
            assert (folder / "figures" / f"{name}{suffix}").stat().st_size > 2000
    assert "fig11_steps: nothing measured for it" in caplog.text
    assert not (folder / "figures" / "fig11_steps.png").exists()
    assert "| 1a |" in (folder / "claims.md").read_text()
    assert "claims" in capsys.readouterr().out


def test_steps_figure_needs_exports_on_the_way(tmp_path):
    table = _curves(bls_mse_at_4=1.2, bls_vmaf_p_at_4=1.1, bls_vmaf_p=0.9)
    place = _folder(tmp_path / "p", table)
    drawn = proxiqa.PAPER.draw(proxiqa_evidence.load(str(place)), place, place)
    assert "fig11_steps" in drawn


def test_figures_are_equal_when_drawn_again(folder):
    evidence = proxiqa_evidence.load(str(folder))
    files = []
    for _ in range(2):
        proxiqa.PAPER.draw(evidence, folder, folder)
        files.append((folder / "figures" / "fig12_times.svg").read_bytes())
    assert files[0] == files[1]


def _crops(place):
    place.mkdir(parents=True)
    pixels = np.full((40, 40, 3), (200, 30, 60), np.uint8)
    crop_grid.write(place, "Crops", {"x": [crop_grid.Tile(pixels, f"codec {n}") for n in "ab"]})


def test_missing_baseline_and_damaged_input_are_said(tmp_path, folder):
    table = [row for row in _curves(jpeg=2.0) if row["codec"] == "jpeg"]
    place = _folder(tmp_path / "p", table)
    with pytest.raises(UsageError, match="has no rows of bls_mse, the baseline"):
        cli.main(["eval", "proxiqa", f"--results={place}"])
    with pytest.raises(WorkError, match="rows.csv is not readable"):
        cli.main(["eval", "proxiqa", f"--results={tmp_path}"])
    (folder / "training" / "frozen.csv").write_text("step,proxy\n1,2\n")
    with pytest.raises(WorkError, match="frozen.csv is no table of step, proxy and score"):
        cli.main(["eval", "proxiqa", f"--results={folder}"])


@pytest.mark.parametrize(
    ("paper", "ours", "spread", "unit", "verdict"),
    [
        (10.0, math.nan, 1.0, "%", "not measured"),
        (10.0, 10.9, 1.0, "%", "within the paper's spread"),
        (10.0, 11.1, 1.0, "%", "same sign"),
        (10.0, -1.0, math.nan, "%", "other sign"),
        (-0.5, 0.4, 1.0, "%", "within the paper's spread"),
        (20.0, 30.0, math.nan, "ms", "1.50 times"),
    ],
)
def test_verdicts(paper, ours, spread, unit, verdict):
    assert comparison.Cell("r", "c", paper, ours, unit, spread=spread).verdict == verdict


def test_summary_counts_what_was_measured():
    cells = [comparison.Cell("r", "c", 10.0, ours) for ours in (5.0, -5.0, math.nan)]
    assert comparison.summary(cells).startswith("2 of 3 values measured; 1 have the paper's sign")
    assert dataclasses.asdict(cells[0])["digits"] == 1


def test_metric_agreement_finds_equal_definitions_equal(tmp_path, images):
    (tmp_path / "in").mkdir()
    for i, image in enumerate(images[:2]):
        tall = np.concatenate([image, image[::-1]])
        Image.fromarray(np.concatenate([tall, tall[:, ::-1]], 1)).save(tmp_path / "in" / f"{i}.png")
    cli.main(["eval", "metrics", f"--data={tmp_path / 'in'}", f"--out={tmp_path / 'out'}"])
    table = pd.read_csv(tmp_path / "out" / "agreement.csv").set_index("lossylab")
    assert table.loc["psnr_ycbcr", "largest"] < 0.03
    assert table.loc["psnr_rgb", "largest"] > 0.5  # another definition
    assert table.loc["MS-SSIM of luma", "largest"] < 0.02


def test_every_committed_figure_can_be_drawn(tmp_path):
    folder = RESULTS / "proxiqa"
    if not (folder / "rows.csv").exists():
        pytest.skip("no committed rows")
    copy = tmp_path / "proxiqa"
    shutil.copytree(folder, copy)
    drawn = proxiqa.PAPER.draw(proxiqa_evidence.load(str(copy)), copy, copy)
    assert {path.stem for path in (folder / "figures").glob("*.png")} == set(drawn)
