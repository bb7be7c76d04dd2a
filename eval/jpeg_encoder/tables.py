"""The JPEG encoder's evidence: measured rows, curves and tables."""

from __future__ import annotations

import math

import pandas as pd

from lossylab.eval.jpeg_encoder.evidence import HIGH, HUFFMAN, JPEG, LOW, Evidence, by_image
from lossylab.eval.metrics import bd_rate
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell
from lossylab.eval.report.differences import mean_difference
from lossylab.eval.report.names import published_name
from lossylab.eval.report.tables import Line, number
from lossylab.eval.schemas import COMPETITORS

# Column -> heading, digits, whether more is better.
MEASURED = {
    "mse": ("MSE", 2, False),
    "psnr_rgb": ("PSNR of RGB, dB", 2, True),
    "ms_ssim_rgb": ("MS-SSIM", 4, True),
    "lpips": ("LPIPS", 5, False),
    "vmaf": ("VMAF", 2, True),
}
_AT_EQUAL_SIZE = {
    "psnr_rgb": ("PSNR of RGB, dB", 2),
    "ms_ssim_rgb": ("MS-SSIM", 4),
    "vmaf": ("VMAF", 2),
}
COMMON = 0.9  # fraction of the images that an encoder must compare on to have a mean
# What curves are compared by at equal quality: each rises with the rate.
QUALITIES = {"psnr_rgb": "MSE", "ms_ssim_db": "MS-SSIM", "lpips_quality": "LPIPS"}


def points(evidence: Evidence) -> list[Line]:
    """Every point of every curve: means over the images."""
    lines = []
    for model in evidence.models:
        for setting, means in evidence.curve(model).iterrows():
            lines.append(
                {
                    "encoder": model,
                    "point": str(setting).removeprefix(f"{model}_"),
                    "images": _images(evidence, model, str(setting)),
                    "bpp": number(means.bpp, 4),
                    "bpp, optimized": number(means.bpp_optimized, 4),
                    **{
                        heading: number(means[name], digits)
                        for name, (heading, digits, _) in _measured(evidence).items()
                    },
                }
            )
    return lines


def _measured(evidence: Evidence) -> dict[str, tuple[str, int, bool]]:
    """Those measures that any row has."""
    return {name: said for name, said in MEASURED.items() if evidence.table[name].notna().any()}


def _images(evidence: Evidence, model: str, setting: str) -> str:
    table = evidence.table
    mine = (table.codec == model) & (table.setting == setting)  # encoders share names of settings
    count, whole = mine.sum(), table.image.nunique()
    return str(count) if count == whole else f"{count} of {whole}"


def compared(evidence: Evidence, huffman: str) -> pd.DataFrame:
    """The rows with the rate of one kind of Huffman codes as `bpp_file`."""
    return evidence.table.assign(bpp_file=evidence.table[HUFFMAN[huffman]])


def bd_rates(evidence: Evidence, anchor: str = JPEG) -> list[Line]:
    """BD-rates of every encoder against standard JPEG, both with the same Huffman codes."""
    models = [name for name in evidence.models if name != anchor]
    lines = []
    for huffman in HUFFMAN:
        table = compared(evidence, huffman)
        mine = {model: {"encoder": model, "Huffman codes": huffman} for model in models}
        for quality, name in QUALITIES.items():
            for method in bd_rate.METHODS:
                heading = f"{name}, %" if method == "pchip" else f"{name} by {method}, %"
                found = {m: bd_rate.per_image(table, anchor, m, quality, method) for m in models}
                for model, text in _over_common_images(found).items():
                    mine[model][heading] = text
        lines += mine.values()
    return lines


def _over_common_images(found: dict[str, dict[str, bd_rate.BDRate]]) -> dict[str, str]:
    """Mean BD-rates over the images that all encoders compare on, but those that miss too many."""
    percents = pd.DataFrame(
        {model: {i: v.percent for i, v in values.items()} for model, values in found.items()}
    )
    enough = [m for m in percents if percents[m].notna().mean() >= COMMON]
    same = percents[enough].dropna()
    texts = {}
    for model, values in found.items():
        if model not in enough:
            texts[model] = f"n/a ({percents[model].notna().sum()} of {len(percents)} images)"
            continue
        few = (
            min(values[image].rates for image in same.index) < bd_rate.ENOUGH
            if len(same)
            else False
        )
        spread = f"{number(same[model].mean(), 1)} ± {number(same[model].std(), 1)}"
        texts[model] = f"{spread}{'*' if few else ''} ({len(same)})"
    return texts


def equal_rate(evidence: Evidence) -> list[Line]:
    """Differences from standard JPEG at equal rate, low range and whole."""
    lines = []
    for name, (low, high) in {f"{LOW} to {HIGH}": (LOW, HIGH), "all": (0, math.inf)}.items():
        for huffman in HUFFMAN:
            for model in evidence.models[1:]:
                line = {"bits per pixel": name, "Huffman codes": huffman, "encoder": model}
                for measure, (heading, digits, _) in _measured(evidence).items():
                    gap = by_image(evidence, model, JPEG, measure, huffman, low, high).gap
                    line[heading] = _said(gap, digits)
                lines.append(line)
    return lines


def _said(gap: pd.Series, digits: int) -> str:
    """A mean difference with its interval and the number of images."""
    found = mean_difference(gap)
    if found is None:
        return f"n/a ({gap.notna().sum()} of {len(gap)} images)"
    return f"{found.said(f'.{digits}f')} ({found.count})"


def others(evidence: Evidence) -> list[Line]:
    """Every encoder minus those that users pick, at equal size, over all common rates."""
    rivals = [name for name in COMPETITORS if name in evidence.models]
    found = []
    for rival in rivals:
        for model in (name for name in evidence.models if name not in COMPETITORS):
            line = {"encoder": model, "minus": published_name(rival)}
            for measure, (heading, digits) in _AT_EQUAL_SIZE.items():
                gap = by_image(evidence, model, rival, measure, "optimized", 0, math.inf).gap
                line[heading] = _said(gap, digits)
            found.append(line)
    return found


def printed(evidence: Evidence) -> list[Line]:
    """The few numbers that the paper prints, and ours."""
    lines = []
    for cell in cells(evidence):
        line = cell.line()
        paper, ours = (line[f"{side}, {cell.unit}"] for side in ("paper", "ours"))
        lines.append(
            {
                "what": cell.row,
                "of": cell.column,
                "unit": cell.unit,
                "paper": paper,
                "ours": ours,
                "difference": line["difference"],
                "verdict": line["verdict"],
            }
        )
    return lines


def cells(evidence: Evidence) -> list[Cell]:
    """The same as numbers."""
    values = published.numbers("jpeg_encoder", "text")
    ours = {}
    vgg, bls = (_timed(evidence, name) for name in ("vgg19", "bls2017"))
    if vgg and bls:
        ours["inference time", "ours", "mean"] = vgg["seconds"]
        ours["inference time", "ours", "standard error"] = vgg["standard_error"]
        ours["inference time", "BLS", "mean"] = bls["seconds"]
        ours["inference time", "BLS", "standard error"] = bls["standard_error"]
    steps = [
        evidence.timing.get((name, "training step"), {}).get("steps_per_second")
        for name in ("resnet152", "vgg19")
    ]
    if steps[0] and steps[1]:
        ours["training speed", "ResNet over VGG", "value"] = 100 * (steps[0] / steps[1] - 1)
    units = {"value": "%", "mean": "s", "standard error": "s"}
    return [
        Cell(
            row=f"{row}, {statistic}" if statistic != "value" else row,
            column=column,
            paper=value,
            ours=ours.get((row, column, statistic), math.nan),
            unit=units[statistic],
            digits=0 if statistic == "value" else 3,
        )
        for (row, column, statistic), value in values.items()
    ]


def _timed(evidence: Evidence, name: str) -> dict | None:
    """The timing of files of an encoder, or of the widest BLS codec."""
    found = [
        row
        for (network, work), row in evidence.timing.items()
        if network.startswith(name) and work.startswith("encode") and "block1" not in network
    ]
    return max(found, key=lambda row: row["seconds"]) if found else None


def timing(evidence: Evidence) -> list[Line]:
    """Everything timed: mean and standard error."""
    return [
        {
            "network": network,
            "work": work,
            "of": row["image"],
            "seconds": f"{number(row['seconds'], 4)} ± {number(row['standard_error'], 4)}",
            "times": str(row["times"]),
            "machine": row["machine"],
        }
        for (network, work), row in evidence.timing.items()
    ]
