"""ProxIQA's figures 6 to 12 from measured rows, training curves and crops."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from functools import partial

from lossylab.eval.proxiqa.evidence import ANCHOR, STDS, Evidence
from lossylab.eval.report import plots
from lossylab.eval.report.paper import Draw
from lossylab.eval.report.rd_report import LABELS

_OURS = ("bls_mse", "bls_vmaf_p", "jpeg2000", "hevc444")
_SSIM_ORIENTED = ("bls_mse", "bls_ssim_p", "bls_ssim", "bls_ssim_mse")
_FIG_8 = ("kodim10", "kodim17", "kodim19")
_FIG_9 = ("kodim01", "kodim21")
GRIDS = {
    "fig06_adversarial": "Fig. 6: a codec trained against a frozen proxy, and both scores",
    "fig08_crops": "Fig. 8: crops near 0.3 bits per pixel",
    "fig10_ssim_crops": "Fig. 10: SSIM-oriented optimization, crops near 0.3 bits per pixel",
}
_STEPS = "_at_"  # in the names of codecs exported on the way


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure; crops give figures 6, 10 and a part of 8."""
    return {
        "fig07_proxy_and_vmaf": partial(_scores, evidence),
        "fig08_curves": partial(_curves, evidence, "Fig. 8", _FIG_8, _OURS, "vmaf"),
        "fig09_ssim_curves": partial(_curves, evidence, "Fig. 9", _FIG_9, _SSIM_ORIENTED, "ssim"),
        "fig11_steps": partial(_steps, evidence),
        "fig12_times": partial(_times, evidence),
    }


def _scores(evidence: Evidence, path: pathlib.Path) -> bool:
    """Fig. 7: proxy and true score over the steps of training."""
    runs = {"frozen": "(a) frozen proxy", "alternating": "(b) alternating training"}
    if not all(run in evidence.training for run in runs):
        return False
    note = evidence.title
    if not all(set(STDS) <= set(evidence.training[run]) for run in runs):
        note = f"Means over batches; deviations within them were not logged. {note}"
    title = "Fig. 7: proxy and true VMAF of reconstructed patches"
    with plots.figure(path, title, 1, 2, (8.4, 3.4), note=note) as axes:
        for axis, (run, label) in zip(axes.flat, runs.items()):
            table = evidence.training[run]
            for score, deviation, name in zip(("proxy", "score"), STDS, ("proxy", "VMAF")):
                (line,) = axis.plot(table.step, table[score], label=name, marker="")
                if deviation in table:
                    ends = table[score] - table[deviation], table[score] + table[deviation]
                    axis.fill_between(table.step, *ends, color=line.get_color(), alpha=0.2, lw=0)
            axis.axhline(100, color="0.6", lw=0.8, ls=":")
            axis.set(title=label, xlabel="steps", ylabel="score")
            axis.set_ylim(bottom=0)
            axis.legend()
    return True


def _curves(
    evidence: Evidence,
    heading: str,
    images: Sequence[str],
    codecs: Sequence[str],
    metric: str,
    path: pathlib.Path,
) -> bool:
    """Fig. 8 and 9: curves of single images."""
    table = evidence.table
    found = [p for p in images if ((table.image == p) & (table.codec == codecs[0])).any()]
    if not found:
        return False
    measured = [codec for codec in codecs if codec in evidence.names]
    title = f"{heading}: {LABELS[metric]} over rate"
    size = (3.7 * len(found), 3.5)
    with plots.figure(path, title, 1, len(found), size, note=evidence.title) as axes:
        for axis, image in zip(axes.flat, found):
            for codec in measured:
                curve = table[(table.image == image) & (table.codec == codec)]
                curve = curve.sort_values("bpp_file")
                axis.plot(curve.bpp_file, curve[metric], label=plots.label(codec))
            axis.set(
                title=image.capitalize(),
                xlabel="bits per pixel, of the files",
                ylabel=LABELS[metric],
            )
            plots.rates(axis)
        axes[0, 0].legend()
    return True


def _steps(evidence: Evidence, path: pathlib.Path) -> bool:
    """Fig. 11: VMAF BD-rate over steps, against MSE after the fewest steps and after as many."""
    names = set(evidence.table.codec)
    stops = sorted(int(n.split(_STEPS)[1]) for n in names if n.startswith(f"bls_vmaf_p{_STEPS}"))
    if not stops or f"{ANCHOR}{_STEPS}{stops[0]}" not in names:
        return False
    tests = [f"bls_vmaf_p{_STEPS}{stop}" for stop in stops] + ["bls_vmaf_p"]
    equal = [f"{ANCHOR}{_STEPS}{stop}" for stop in stops] + [ANCHOR]
    labels = [str(stop) for stop in stops] + ["end, learning\nrate lowered"]
    lines = {
        f"against MSE after {stops[0]} steps": ([equal[0]] * len(tests), "-"),
        "against MSE after as many steps": (equal, ":"),
    }
    title = "Fig. 11: VMAF BD-rate of BLS VMAF$_p$ by steps of the last stage"
    with plots.figure(path, title, 1, 1, (6, 3.6), note=evidence.title) as axes:
        axis = axes[0, 0]
        for label, (anchors, style) in lines.items():
            found = [evidence.bd(test, "vmaf", anchor) for test, anchor in zip(tests, anchors)]
            means, stds = zip(*found)
            axis.errorbar(labels, means, stds, ls=style, capsize=3, label=label)
        axis.set(xlabel="steps", ylabel="VMAF BD-rate, %; bars: std over images")
        axis.legend()
    return True


def _times(evidence: Evidence, path: pathlib.Path) -> bool:
    """Fig. 12: encoding times over rate, each codec's divided by that at its highest rate."""
    timing = evidence.timing
    if timing.empty:
        return False
    means = timing.groupby(["codec", "point"], sort=False)[["bpp_file", "encode_ms"]].mean()
    title = "Fig. 12: encoding time over rate, that of the highest rate = 1"
    with plots.figure(path, title, 1, 1, (6, 3.6), note=evidence.title) as axes:
        axis = axes[0, 0]
        for codec, curve in means.groupby("codec", sort=False):
            if len(curve) < 2:
                continue
            curve = curve.sort_values("bpp_file")
            ratio = curve.encode_ms / curve.encode_ms.iloc[-1]
            axis.plot(curve.bpp_file, ratio, label=plots.label(str(codec)))
        axis.set(xlabel="bits per pixel, of the files", ylabel="normalized encoding time")
        axis.set_ylim(bottom=0)
        axis.legend()
    return True
