"""WCDGAN's tables, figures and claims: from made-up rows whose answer is known, and committed."""

import itertools
import json
import math
import pathlib

import numpy as np
import pytest
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.benchmark.restoration import _NETWORKS
from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.eval import schemas
from lossylab.eval.report import budgets, crop_grid, published
from lossylab.eval.report.claims import UNMEASURED, Verdict
from lossylab.eval.wcdgan import __main__ as wcdgan
from lossylab.eval.wcdgan import beside
from lossylab.eval.wcdgan import claims as wcdgan_claims
from lossylab.eval.wcdgan import evidence as wcdgan_evidence
from lossylab.eval.wcdgan import tables as wcdgan_tables

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
SETS = {"live1": 6, "classic5": 5}


def _row(method, data, quality, image, decibel, **more):
    row = dict.fromkeys(schemas.RESTORATION.columns, "x")
    row |= {"method": method, "channels": "y", "quality": quality, "data": data}
    row |= {"image": image, "width": 16, "height": 16, "psnr": decibel, "psnr_b": decibel}
    row |= {"ssim": decibel / 40, "ssim_uniform": decibel / 38, "lpips": math.nan}
    row |= {**dict.fromkeys(schemas.RESTORATION_JUDGES, math.nan), "features": ""}
    row |= {"seconds": 0.1, "parameters": 7, "budget": "Small budget: tiny"}
    return row | more


def _sets(method, decibel, quality=10, wobble=0.0, **more):
    """Rows of a method on both sets; `wobble` is what its images differ by."""
    return [
        _row(method, data, quality, f"p{i}", decibel + 0.1 * i + wobble * (-1) ** i, **more)
        for data, count in SETS.items()
        for i in range(count)
    ]


def _folder(path, *groups):
    """A results folder; its networks but those of a small budget are of the paper's."""
    path.mkdir(parents=True)
    file, trained = rows.Rows(path / "rows.csv", schemas.RESTORATION.columns), {}
    for row in itertools.chain(*groups):
        file.append(row)
        small = row["budget"].startswith("Small budget")
        name = f"{row['method']} {row['channels']} {row['quality']}"
        trained[name] = {"steps": 9} if small else budgets.of_paper("wcdgan")
    file.close()
    (path / "about.json").write_text(json.dumps({budgets.TRAINED: trained}))
    return str(path)


def _decide(number, path, *groups):
    return wcdgan_claims.CHECKS[number].decide(wcdgan_evidence.load(_folder(path, *groups)))


def _judged(number, path, *groups):
    found = wcdgan.PAPER.judgements(wcdgan_evidence.load(_folder(path, *groups)))
    return next(each for each in found if each.claim.number == number)


def test_orders_hold_fail_or_are_noise(tmp_path):
    jpeg, official = _sets("jpeg", 27), _sets("arcnn_official", 28)
    assert _decide("1a", tmp_path / "a", jpeg, official) is UNMEASURED
    better = _sets("dncnn3_official", 29)
    assert _decide("1a", tmp_path / "b", jpeg, official, better).holds is True
    worse = _sets("dncnn3_official", 27.5)
    assert _decide("1a", tmp_path / "c", jpeg, official, worse).holds is False
    noisy = _sets("dncnn3_official", 28.1, wobble=1.0)
    assert _decide("1a", tmp_path / "d", jpeg, official, noisy).holds is None


def _seeds(name, decibel, spread=0.0, **more):
    """Three trainings of a network."""
    names = (name, f"{name}_seed2", f"{name}_seed3")
    return [
        row
        for seed, each in enumerate(names)
        for row in _sets(each, decibel + spread * (seed - 1), wobble=0.01, **more)
    ]


def test_ablations_compare_with_the_same_losses_over_trainings(tmp_path):
    paper = {"budget": "as published"}
    jpeg, content = _sets("jpeg", 27, budget=""), _seeds("wcdgan_content", 28.5, **paper)
    name = "wcdgan_content_no_mixed_conv"
    lower, higher = _seeds(name, 28.3, **paper), _seeds(name, 28.7, **paper)
    found = _judged("2a", tmp_path / "a", jpeg, content, lower)
    assert found.verdict is Verdict.HOLDS
    begin = "WCDGAN without perceptual and adversarial loss over without mixed convolution +0.20 ± "
    assert found.measured.startswith(begin)
    assert _judged("2a", tmp_path / "b", jpeg, content, higher).verdict is Verdict.FAILS
    noisy = _seeds(name, 28.3, spread=0.5, **paper)
    assert _judged("2a", tmp_path / "c", jpeg, content, noisy).verdict is Verdict.UNDECIDED
    one = _sets(name, 28.3, wobble=0.01, **paper)
    found = _judged("2a", tmp_path / "d", jpeg, content, one)
    assert found.reason == "one training each, 3 are needed"
    found = _judged("2a", tmp_path / "e", jpeg, _seeds("wcdgan_content", 28.5), _seeds(name, 28.3))
    assert found.verdict is Verdict.UNTESTABLE  # a small budget


def _of_equal_steps(path, trained, *groups):
    """Judgements of networks of such trainings, by claim; those not named have 15,000 steps."""
    folder = _folder(path, *groups)
    usual = {"steps": 15_000, "batch": 4, "patch": 80, "size": 1, "begun": 0}
    names = {f"{row['method']} y 10" for row in itertools.chain(*groups)}
    all_of_them = {budgets.TRAINED: dict.fromkeys(names, usual) | trained}
    (pathlib.Path(folder) / "about.json").write_text(json.dumps(all_of_them))
    found = wcdgan.PAPER.judgements(wcdgan_evidence.load(folder))
    return {each.claim.number: each for each in found}


def test_networks_of_equal_steps_are_put_in_order_at_any_budget(tmp_path):
    """The paper's own claims stay what its budget alone could decide."""
    decibels = {"arcnn": 28, "dncnn": 28.3, "memnet": 28.5, "mwcnn": 28.7, "wcdgan_content": 28.6}
    decibels |= {"wcdgan_content_no_mixed_conv": 28.4, "wcdgan_content_no_mixed_attention": 28.7}
    groups = [_sets("jpeg", 27, budget="")]
    groups += [_seeds(name, value, spread=0.01) for name, value in decibels.items()]
    found = _of_equal_steps(tmp_path / "a", {}, *groups)
    verdicts = {"6a": "HOLDS", "6b": "HOLDS", "6c": "FAILS", "6d": "HOLDS", "6e": "FAILS"}
    assert {number: found[number].verdict.name for number in verdicts} == verdicts
    assert {found[number].verdict for number in ("1c", "1d", "2a", "2b")} == {Verdict.UNTESTABLE}
    usual = {"steps": 15_000, "batch": 4, "patch": 80, "size": 1, "begun": 0}
    for number, other in enumerate(({"steps": 60_000}, {"begun": 1})):
        one = {"dncnn_seed3 y 10": usual | other}
        found = _of_equal_steps(tmp_path / f"b{number}", one, *groups)
        assert found["6a"].reason == "not of equal steps, patches and beginnings"
        assert found["6d"].verdict is Verdict.HOLDS
    narrow = {"memnet y 10": usual | {"size": 0}}
    found = _of_equal_steps(tmp_path / "c", narrow, *groups)
    assert found["6b"].reason == "networks smaller than the paper's"
    found = _of_equal_steps(tmp_path / "d", {"arcnn y 10": {}}, *groups)
    assert found["6a"].reason == "about.json does not tell all networks and steps"
    once = [rows for rows in groups if rows[0]["method"] != "mwcnn"]
    once.append(_sets("mwcnn", 28.7))
    found = _of_equal_steps(tmp_path / "e", {}, *once)
    assert found["6b"].reason == "one training each, 3 are needed"


def test_random_weights_decide_nothing(tmp_path):
    jpeg = _sets("jpeg", 27, budget="")
    paper, random = {"budget": "as published"}, {"budget": "random weights of VGG-19"}
    content = _seeds("wcdgan_content", 28.5, **paper)
    lowered = _seeds("wcdgan", 28.2, **paper)
    assert _judged("3a", tmp_path / "a", jpeg, content, lowered).verdict is Verdict.FAILS
    lowered = _seeds("wcdgan", 28.2, **random)
    found = _judged("3a", tmp_path / "b", jpeg, content, lowered)
    assert found.verdict is Verdict.UNTESTABLE
    assert found.reason == "the perceptual loss had random weights"


def test_sets_that_differ_in_images_are_not_compared(tmp_path):
    jpeg, official = _sets("jpeg", 27), _sets("arcnn_official", 28)[1:]
    best = _sets("dncnn3_official", 29)
    assert _decide("1a", tmp_path / "a", jpeg, official, best) is UNMEASURED


def test_an_interrupted_sweep_is_marked_and_has_no_mean(tmp_path):
    folder = _folder(tmp_path / "a", _sets("jpeg", 27), _sets("sadct", 28)[:1])
    lines = wcdgan_tables.everything(wcdgan_evidence.load(folder))
    cut = _line(lines, set="live1", method="sadct")
    assert (cut["images"], cut["PSNR, dB"], cut["gain, dB"]) == ("1 of 6", "n/a", "")
    whole = _line(lines, set="live1", method="jpeg")
    assert (whole["images"], whole["PSNR, dB"]) == ("6", "27.25")


def test_committed_sweeps_that_were_interrupted_are_not_averaged():
    """SA-DCT in RGB has one image of 29."""
    lines = wcdgan_tables.everything(wcdgan_evidence.load(str(RESULTS / "wcdgan")))
    cut = [line for line in lines if " of " in line["images"]]
    assert {(line["method"], line["channels"], line["images"]) for line in cut} <= {
        ("sadct", "rgb", "1 of 29")
    }
    assert all(line["PSNR, dB"] == "n/a" and not line["gain, dB"] for line in cut)


def _timing(path, **seconds):
    lines = [
        json.dumps(
            {"network": f"{name}_rgb", "parameters": parameters, "seconds": seconds[name]}
            | {"machine": "2 cores", "image": "768x512"}
        )
        for name, parameters in (
            *(("arcnn", 117_731), ("dncnn", 558_400), ("memnet", 2_907_782)),
            *(("mwcnn", 24_930_115), ("wcdgan", 1_690_443)),
        )
    ]
    (path / "timing.jsonl").write_text("\n".join(lines) + "\n")


def test_sizes_and_times(tmp_path):
    folder = _folder(tmp_path / "a", _sets("jpeg", 27))
    _timing(tmp_path / "a", arcnn=1.0, dncnn=2.0, memnet=9.0, mwcnn=3.0, wcdgan=4.0)
    evidence = wcdgan_evidence.load(folder)
    sizes = wcdgan_claims.CHECKS["4a"].decide(evidence)
    assert sizes.holds is False
    assert sizes.measured == "4 of 5 as printed; not MWCNN 24.9 M"
    assert wcdgan_claims.CHECKS["4b"].decide(evidence).holds is True
    assert wcdgan_claims.CHECKS["4c"].decide(evidence).holds is False
    lines = {line["method"]: line for line in wcdgan_tables.complexity(evidence)}
    assert lines["MWCNN"]["size"] == "differs"
    assert lines["WCDGAN"]["size"] == "same"
    assert lines["MemNet"]["ours, WCDGAN = 1"] == "2.25"


def _line(lines, **wanted):
    (line,) = [line for line in lines if wanted.items() <= line.items()]
    return line


def test_verdicts(tmp_path):
    exact = {"ssim_uniform": 0.7905, "ssim": 0.7730, "budget": ""}
    official = {"ssim_uniform": 0.8217, "ssim": 0.8076, "budget": schemas.OFFICIAL}
    folder = _folder(
        tmp_path / "a",
        [_row("jpeg", "live1", 10, "p", 27.7698, **exact)],
        [_row("jpeg", "live1", 5, "p", 25.2913, ssim_uniform=0.6816, ssim=0.6712, budget="")],
        [_row("arcnn_official", "live1", 10, "p", 28.70, **official)],
        [_row("wcdgan", "live1", 10, "p", 28.6)],
    )
    evidence = wcdgan_evidence.load(folder)
    lines = wcdgan_tables.comparison_table(evidence, "1", "y")
    assert len(lines) == 40
    jpeg = _line(lines, set="LIVE1", q="10", method="JPEG")
    assert jpeg["verdict"] == "reproduced, SSIM uniform 8"
    odd = _line(lines, set="LIVE1", q="5", method="JPEG")
    assert odd["verdict"] == "PSNR reproduced, SSIM not"
    assert "not reproducible" in odd["doubts"]
    assert _line(lines, set="LIVE1", q="10", method="ARCNN")["verdict"] == "not reproduced"
    assert _line(lines, set="LIVE1", q="10", method="WCDGAN")["verdict"] == "small budget"
    assert _line(lines, set="LIVE1", q="20", method="TNRD")["verdict"] == "not measured"
    assert evidence.title == "Small budget: tiny"


def test_a_claim_and_its_cells_have_one_tolerance(tmp_path):
    """ARCNN's weights give 28.96 dB, the paper has 28.98: as printed in the table and the claim."""
    printed = published.numbers("wcdgan", "1")
    official = {"ARCNN": "arcnn_official", "DnCNN": "dncnn3_official"}
    for shift, reproduced in ((0.022, True), (0.03, False)):
        groups = [
            _row(method, data.lower(), q, "p", printed[f"{data}/{q}", f"{column}/PSNR", "value"])
            for column, method in official.items()
            for data in ("LIVE1", "Classic5")
            for q in (10, 20)
        ]
        groups[0]["psnr"] -= shift
        groups[0]["budget"] = schemas.OFFICIAL
        evidence = wcdgan_evidence.load(_folder(tmp_path / f"{shift}", groups))
        assert wcdgan_claims.CHECKS["1f"].decide(evidence).holds == reproduced
        lines = wcdgan_tables.comparison_table(evidence, "1", "y")
        verdict = _line(lines, set="LIVE1", q="10", method="ARCNN")["verdict"]
        assert (verdict != "not reproduced") == reproduced


def test_doubts_are_said_once_and_of_their_own_rows():
    found = wcdgan_tables.doubts("1", "LIVE1/5", "DnCNN/PSNR", "DnCNN/SSIM")
    assert found == [
        "DnCNN-3's official weights give 26.71 dB, .7223 (Gaussian 11), .7291 (uniform 8)"
    ]
    assert wcdgan_tables.doubts("1", "LIVE1/5", "MWCNN/PSNR") == []
    assert len(wcdgan_tables.doubts("1", "LIVE1/20", "MWCNN/PSNR", "MWCNN/SSIM")) == 1


def test_the_page_says_its_budget_once_in_a_footnote(tmp_path):
    folder = _folder(tmp_path / "a", _sets("jpeg", 27, budget=""), _sets("wcdgan", 28))
    evidence = wcdgan_evidence.load(folder)
    page = wcdgan.PAPER.texts(evidence, wcdgan.PAPER.judgements(evidence))["tables.md"]
    assert page.endswith("\n[^ours]: Small budget: tiny\n")
    assert page.count("Small budget: tiny") == 1


def test_the_command_makes_everything(tmp_path, images, capsys):
    folder = tmp_path / "results" / "wcdgan"
    _folder(folder, _sets("jpeg", 27, budget=""), _sets("wcdgan", 28))
    crops = folder / "crops" / "fig07"
    crops.mkdir(parents=True)
    tile = crop_grid.Tile(images[0][:32, :32, :1], "jpeg")
    crop_grid.write(crops, "crops", {"a": [tile, tile]})
    cli.main(["eval", "wcdgan", f"--results={folder}"])
    for name in ("tables.md", "tables/table1.csv", "tables/all.tex", "figures/gains.png"):
        assert (folder / name).stat().st_size > 100
    with Image.open(folder / "figures" / "fig07.png") as figure:
        assert figure.size[0] > 200
        levels = np.asarray(figure.convert("RGB")).astype(int)
    assert np.ptp(levels, -1).max() == 0  # luma is shown in gray
    assert "# WCDGAN: claims" in (folder / "claims.md").read_text()
    assert "gains, fig07" in capsys.readouterr().out


def test_orders_must_hold_on_both_sets(tmp_path):
    official, best = _sets("arcnn_official", 28), _sets("dncnn3_official", 29)
    jpeg = [row for row in _sets("jpeg", 27) if row["data"] == "live1"]
    jpeg += [row for row in _sets("jpeg", 28.5) if row["data"] == "classic5"]
    assert _decide("1a", tmp_path / "a", jpeg, official, best).holds is False


def test_sets_fill_table_6(tmp_path):
    folder = _folder(tmp_path / "a", _sets("jpeg", 27))
    file = rows.Rows(tmp_path / "a" / "sets.csv", schemas.RESTORED_SETS.columns)
    for method, fid in (("wcdgan", 30.0), ("wcdgan_content", 40.0)):
        row = dict.fromkeys(schemas.RESTORED_SETS.columns, "x")
        row |= {"method": method, "channels": "rgb", "quality": 10, "data": "live1"}
        file.append(row | {"images": 29, "inception_score": 2.5, "fid": fid, "weights": "imagenet"})
    file.close()
    evidence = wcdgan_evidence.load(folder)
    lines = wcdgan_tables.realism(evidence)
    mine = _line(lines, set="LIVE1", q="10", variant="proposed", measure="FID")
    assert mine["ours"] == "30.0000"
    found = {each.claim.number: each for each in wcdgan.PAPER.judgements(evidence)}["3c"]
    assert found.verdict is Verdict.UNTESTABLE
    assert found.reason == "29 images, 2048 are needed"
    assert "FID 30.0 and 40.0" in found.measured


def test_a_folder_without_rows_is_an_error(tmp_path):
    rows.Rows(tmp_path / "rows.csv", schemas.RESTORATION.columns).close()
    with pytest.raises(WorkError, match="has no rows"):
        wcdgan_evidence.load(str(tmp_path))
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(WorkError, match="is not readable"):
        cli.main(["eval", "wcdgan", f"--results={tmp_path}"])


def test_every_network_of_table_3_is_timed():
    names = {row[1] for row in published.numbers("wcdgan", "3")}
    assert {f"{name.lower()}_rgb" for name in names} <= set(_NETWORKS)


def test_committed_rows_reach_the_figures_of_the_readme():
    """Plain JPEG, official weights and SA-DCT as published: no training has a share in these."""
    evidence = wcdgan_evidence.load(str(RESULTS / "wcdgan"))
    lines = wcdgan_tables.elsewhere(evidence)
    assert len(lines) == 12
    for line in lines:
        limit = 0.15 if line["method"] == "SA-DCT" else 0.015
        assert abs(float(line["difference, dB"])) <= limit, line


_CONTINUED = "wcdgan_content_continued"
_PAPER = {"budget": "as published", "features": "VGG-16 (HED)"}


def _seen(network):
    """A budget of networks at the paper's size whose perceptual loss looks through that one."""
    return f"as published; {schemas.PERCEPTUAL} {network}"


def _judged_sets(wcdgan, continued):
    """Rows of WCDGAN with all losses and, from the same start, without two of them."""
    return [
        *_sets("jpeg", 27, budget=""),
        *_sets("wcdgan_content", 28.4, wobble=0.01, budget="as published"),
        *_sets("wcdgan", wobble=0.01, **{**_PAPER, "budget": _seen("VGG-16 (HED)"), **wcdgan}),
        *_sets(_CONTINUED, **{**_PAPER, **continued}),
    ]


def test_losses_are_decided_by_runs_from_one_start_with_trained_features(tmp_path):
    ours = {"decibel": 28.2, "feature_frechet": 3.0, "feature_distance": 0.1}
    control = {"decibel": 28.5, "feature_frechet": 4.0, "feature_distance": 0.2}
    groups = _judged_sets(ours, control)
    found = {
        number: _judged(number, tmp_path / number, groups) for number in ("3a", "3b", "3c", "3d")
    }
    assert {number: each.verdict for number, each in found.items()} == {
        "3a": Verdict.FAILS,  # PSNR falls
        "3b": Verdict.HOLDS,  # and SSIM
        "3c": Verdict.HOLDS,
        "3d": Verdict.HOLDS,
    }
    losses, small = ("3a", "6f", "6g", "6h", "6i"), tmp_path / "small"
    alike = _of_equal_steps(small / "a", {}, groups)
    assert [alike[number].verdict.name for number in losses] == [
        *("UNTESTABLE", "FAILS", "HOLDS", "HOLDS", "HOLDS")
    ]
    apart = [row for row in groups if row["method"] != _CONTINUED]
    alike = _of_equal_steps(small / "b", {}, apart)
    assert {alike[number].reason for number in ("6f", "6g")} == {"not begun with one network"}
    as_bad = _judged_sets({**ours, "decibel": 26.9}, control)
    assert _of_equal_steps(small / "c", {}, as_bad)["6g"].verdict is Verdict.FAILS
    nothing = _judged_sets({**ours, "decibel": 27}, control)  # the JPEG image itself
    assert _of_equal_steps(small / "d", {}, nothing)["6g"].verdict is not Verdict.HOLDS
    blind = _judged_sets({**ours, "features": "VGG-16 (random weights)"}, control)
    assert _of_equal_steps(small / "e", {}, blind)["6h"].reason == "the judge had random weights"
    begin = "WCDGAN over WCDGAN without perceptual and adversarial loss from the same start -0.30"
    assert found["3a"].measured.startswith(begin)
    assert found["3a"].measured.endswith("; perceptual loss by VGG-16 (HED)")
    assert found["3c"].measured.endswith("perceptual loss by VGG-16 (HED); judged by VGG-16 (HED)")
    assert "Fréchet distance of features -1.0000" in found["3c"].measured
    random = _judged_sets({**ours, "features": "VGG-16 (random weights)"}, control)
    assert _judged("3c", tmp_path / "a", random).reason == "the judge had random weights"
    assert _judged("3a", tmp_path / "b", random).verdict is Verdict.FAILS
    blind = _judged_sets({**ours, "budget": _seen("VGG-16 (random weights)")}, control)
    assert _judged("3a", tmp_path / "c", blind).reason == "the perceptual loss had random weights"


def test_budgets_of_other_methods_forbid_no_verdict(tmp_path):
    """A small budget in color says nothing of networks for luma as published."""
    paper = {"budget": "as published"}
    name = "wcdgan_content_no_mixed_conv"
    groups = _seeds("wcdgan_content", 28.5, **paper), _seeds(name, 28.3, **paper)
    small = _sets("wcdgan", 26, channels="rgb")
    assert _judged("2a", tmp_path / "a", *groups, small).verdict is Verdict.HOLDS


def test_differences_leave_out_trainings_that_were_not_measured_there(tmp_path):
    """At q = 5 there is one training of the three."""
    more = [_sets(name, 26 - shift, quality=5) for name, shift in (("a", 0), ("b", 0.5))]
    folder = _folder(tmp_path / "a", _seeds("a", 28.0), _seeds("b", 27.5), *more)
    evidence = wcdgan_evidence.load(folder)
    assert evidence.difference("a", "b", "psnr", "live1", 10).trainings == 3
    gap = evidence.difference("a", "b", "psnr", "live1", 5)
    assert (round(gap.mean, 6), gap.trainings) == (0.5, 1)
    mean, count = evidence.mean_of_trainings("a", "live1", 10)
    assert (round(mean.psnr, 6), count) == (28.25, 3)
    assert evidence.mean_of_trainings("a", "live1", 5)[1] == 1
    assert evidence.mean_of_trainings("none", "live1", 5)[1] == 0


def test_what_is_not_trained_is_compared_with_every_training(tmp_path):
    untrained = {"budget": ""}
    jpeg, official = _sets("jpeg", 27, **untrained), _sets("sadct", 27.5, budget="no training")
    two = [row for row in _seeds("b", 27.8) if row["method"] != "b_seed2"]
    folder = _folder(tmp_path / "a", jpeg, official, _seeds("a", 28.0, spread=0.3), two)
    evidence = wcdgan_evidence.load(folder)
    gap = evidence.difference("a", "jpeg", "psnr", "live1")
    assert (round(gap.mean, 6), gap.trainings) == (1.0, 3)
    assert gap.margin > 0.5  # of the trainings
    back = evidence.difference("jpeg", "a", "psnr", "live1")
    assert (back.mean, back.trainings) == (-gap.mean, 3)
    assert evidence.difference("sadct", "jpeg", "psnr", "live1").trainings == 1
    lines = {
        each["method"]: each
        for each in wcdgan_tables.everything(evidence)
        if each["set"] == "live1"
    }
    gains = [lines[name]["gain, dB"].split(" ±")[0] for name in ("a", "a_seed2", "a_seed3")]
    assert gains == ["+0.70", "+1.00", "+1.30"]  # each line's own
    pairs = evidence.difference("a", "b", "psnr", "live1")  # of the first and the third seed
    assert (round(pairs.mean, 6), pairs.trainings) == (0.2, 2)


def test_one_training_decides_no_ablation_but_runs_from_one_start_do(tmp_path):
    paper = {"budget": "as published"}
    one = [
        _sets(f"wcdgan_content{n}", 28.5 - 0.2 * bool(n), **paper) for n in ("", "_no_mixed_conv")
    ]
    lines = wcdgan_tables.ablation(wcdgan_evidence.load(_folder(tmp_path / "a", *one)), "4")
    conv = _line(lines, set="LIVE1", q="10", variant="without mixed convolution")
    assert (conv["verdict"], conv["trainings"]) == ("PSNR undecided, SSIM undecided", "1")
    losses = _sets("wcdgan", 28.2, **paper), _sets(_CONTINUED, 28.6, **paper)
    evidence = wcdgan_evidence.load(_folder(tmp_path / "b", *one, *losses))
    table = wcdgan_tables.ablation(evidence, "5")
    both = _line(table, set="LIVE1", q="10")
    assert both["verdict"] == "PSNR the other way, SSIM as the paper's"
    assert both["ours, PSNR, dB"].startswith("+0.400 ")  # not against the .3 of the start
    alone = wcdgan_evidence.load(_folder(tmp_path / "c", *one, losses[0]))
    assert _line(wcdgan_tables.ablation(alone, "5"), set="LIVE1", q="10")["verdict"] == (
        "PSNR undecided, SSIM undecided"
    )


def test_color_is_decided_by_what_stands_for_the_papers_network(tmp_path):
    color = {"budget": "as published", "channels": "rgb"}
    others = [_seeds(name, 27.5, **color) for name in ("arcnn", "dncnn", "memnet", "mwcnn")]
    content = _seeds("wcdgan_content", 28.0, **color)
    jpeg = _sets("jpeg", 27, budget="", channels="rgb")
    found = _judged("5a", tmp_path / "a", jpeg, content, *others)
    assert found.verdict is Verdict.HOLDS
    luma = _seeds("wcdgan_content", 28.0, budget="as published")
    once = _sets("wcdgan_content", 28.0, **color)
    found = _judged("5a", tmp_path / "b", jpeg, luma, once, *others)
    assert found.reason == "one training each, 3 are needed"  # those for luma do not count
    few = [row for row in others[0] if row["method"] == "arcnn"]
    found = _judged("5a", tmp_path / "c", jpeg, content, few, *others[1:])
    assert found.reason == "one training each, 3 are needed"


def test_smaller_networks_are_called_so(tmp_path):
    folder = pathlib.Path(_folder(tmp_path / "a", _sets("wcdgan_content", 28)))
    trained = {"wcdgan_content y 10": {"steps": 9, "size": 0}}
    (folder / "about.json").write_text(json.dumps({budgets.TRAINED: trained}))
    lines = wcdgan_tables.comparison_table(wcdgan_evidence.load(str(folder)), "1", "y")
    shown = _line(lines, set="LIVE1", q="10", method="WCDGAN")
    assert shown["ours is"] == "wcdgan_content, smaller"


def test_ablations_say_which_way_they_go_and_of_how_many_trainings(tmp_path):
    paper = {"budget": "as published"}
    folder = _folder(
        tmp_path / "a",
        _seeds("wcdgan_content", 28.5, **paper),
        _seeds("wcdgan_content_no_mixed_conv", 28.3, **paper),
        _seeds("wcdgan_content_no_mixed_attention", 28.5, spread=0.2, **paper),
    )
    lines = wcdgan_tables.ablation(wcdgan_evidence.load(folder), "4")
    conv = _line(lines, set="LIVE1", q="10", variant="without mixed convolution")
    assert conv["verdict"] == "PSNR as the paper's, SSIM as the paper's"
    assert (conv["ours, PSNR, dB"].split(" ±")[0], conv["trainings"]) == ("-0.200", "3")
    attention = _line(lines, set="LIVE1", q="10", variant="without mixed attention")
    assert attention["verdict"] == "PSNR undecided, SSIM undecided"
    assert _line(lines, set="LIVE1", q="5", variant="without mixed attention")["verdict"] == (
        "not measured"
    )


def test_trained_networks_are_not_called_unreproduced(tmp_path):
    trained = [_row("mwcnn", "live1", 10, "p", 28.6, budget="published sizes, 15,000 steps")]
    lines = wcdgan_tables.comparison_table(
        wcdgan_evidence.load(_folder(tmp_path / "a", trained)), "1", "y"
    )
    assert _line(lines, set="LIVE1", q="10", method="MWCNN")["verdict"] == "trained for less"


def test_luma_is_compared_without_perceptual_and_adversarial_loss_and_color_by_all(tmp_path):
    luma, color = _sets("wcdgan", 27), _sets("wcdgan", 26, channels="rgb")
    folder = _folder(tmp_path / "a", _seeds("wcdgan_content", 28), luma, color)
    evidence = wcdgan_evidence.load(folder)
    assert evidence.source("WCDGAN", "live1", 10) == "wcdgan_content"
    assert evidence.source("WCDGAN", "live1", 10, "rgb") == "wcdgan"
    lines = wcdgan_tables.comparison_table(evidence, "1", "y")
    shown = _line(lines, set="LIVE1", q="10", method="WCDGAN")
    assert shown["ours is"] == "wcdgan_content, 3 trainings"


def _file_rows(method, gain, quality=10, images=3):
    """Rows of color files: RGB, Y and colors."""
    base = {"file_rgb": 25.0, "file_y": 27.0, "file_c": 35.0}
    return [
        _row(method, data, quality, f"p{i}", base[view] + gain * (i + 1) / images, channels=view)
        for data in ("live1", "bsds500_val")
        for i in range(images)
        for view in base
    ]


def test_the_users_table_has_gains_on_each_set_and_the_worst_image(tmp_path):
    groups = [_file_rows("jpeg", 0), _file_rows("wcdgan", -0.9), _file_rows("sadct", 0.6)[:-3]]
    evidence = wcdgan_evidence.load(_folder(tmp_path / "a", *groups))
    lines = beside.users(evidence)
    assert [(line["set"], line["method"]) for line in lines] == [
        (data, method) for data in ("live1", "bsds500_val") for method in ("WCDGAN", "SA-DCT")
    ]
    ours, cut = lines[0], lines[-1]
    assert ours["images"] == "3"
    assert ours["gain of RGB, dB"].startswith("-0.60 ± ")
    assert ours["gain of Cb, Cr, dB"] == ours["gain of Y, dB"] == ours["gain of RGB, dB"]
    assert ours["worst image, dB"] == "-0.90 (p2)"
    assert [cut[name] for name in ("images", "gain of RGB, dB", "worst image, dB")] == [
        *("2 of 3", "n/a", "n/a")
    ]
    assert "bsds500 are decoded JPEG files" in beside.users_note(evidence)
    lines = wcdgan_tables.everything(evidence)
    assert not any(line["channels"].startswith("file") for line in lines)
    only = [row for group in groups for row in group if row["data"] == "live1"]
    evidence = wcdgan_evidence.load(_folder(tmp_path / "b", only))
    assert "bsds500" not in beside.users_note(evidence)


def test_tables_without_rows_say_so(tmp_path):
    evidence = wcdgan_evidence.load(_folder(tmp_path / "a", _sets("jpeg", 27)))
    texts = wcdgan.PAPER.texts(evidence, wcdgan.PAPER.judgements(evidence))
    page = texts["tables.md"].split("Nothing was measured for:")[1]
    for table in ("Color JPEG in", "Perceptual and adversarial loss", "Table 3", "Table 6"):
        assert f"- {table}" in page
    assert "tables/users.csv" not in texts


def test_the_table_of_losses_compares_with_the_same_start(tmp_path):
    groups = _judged_sets({"decibel": 28.2, "vmaf": 80.0}, {"decibel": 28.5, "vmaf": 78.0})
    evidence = wcdgan_evidence.load(_folder(tmp_path / "a", groups))
    both = _line(beside.losses(evidence), set="live1", losses="with perceptual and adversarial")
    assert both["VMAF"].startswith("+2.00 ± ")
    assert both["against"] == "WCDGAN (without perceptual and adversarial loss, continued)"
    assert (both["seen through"], both["judged by"]) == ("VGG-16 (HED)", "VGG-16 (HED)")
    assert not any(line["losses"] == "with perceptual" for line in beside.losses(evidence))
