"""Rate and quality of codecs over images: rows, tables with BD-rates, and a plot."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
from typing import Any

import pandas as pd

from lossylab.core import command
from lossylab.core.environment import environment
from lossylab.core.errors import CodecError, UsageError, WorkError
from lossylab.core.options import naming, require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.patches import check_sizes
from lossylab.eval.measurements import about, own_folder, write_about
from lossylab.eval.metrics import vmaf
from lossylab.eval.options.rd import RdOptions
from lossylab.eval.report import budgets, rd_report
from lossylab.eval.sharing import shards
from lossylab.eval.sharing.pipeline import Measure, Opener
from lossylab.eval.sweep import Sweep
from lossylab.inference.codecs import external
from lossylab.inference.codecs.base import HIGHEST_BPP, LOWEST_BPP, POINTS, ImageCodec
from lossylab.inference.codecs.registry import CLASSICAL, Learned, LearnedJpeg, learned

_TOLD = ("ssim_channels", "ssim_scale")  # recorded beside the numbers that count


def measure(options: RdOptions) -> None:
    """Measures what is missing, and writes rows, tables and plot.

    Raises:
      UsageError: if codecs, images or points do not fit each other.
      WorkError: at the end, if something could not be measured; the rest is.
    """
    if options.remake:
        rd_report.remake(options.out)
        return
    everything = find_images(options.data)
    paths = shards.part(everything, options.shard)
    paths = check_sizes(paths, vmaf.SMALLEST, "libvmaf's windows", options.skip_small)
    stems = [pathlib.Path(path).stem for path in paths]
    require_distinct("images", stems)
    codecs = _codecs(options)
    elsewhere = _elsewhere(options, everything, codecs)
    elsewhere = elsewhere[elsewhere.image.isin(stems)]
    known = {codec.name for codec in codecs} | set(elsewhere.codec)
    if options.anchor not in known:
        known |= rd_report.known(options.out, options.data, stems)
    require(
        options.anchor in known,
        f"`anchor`={options.anchor} is none of {', '.join(sorted(known))}",
    )
    own_folder(options.out, ("about.json", *rd_report.WRITTEN))
    jobs = options.jobs or os.cpu_count() or 1
    try:
        with contextlib.closing(
            Sweep(options.out, codecs, options.keep_files, data=options.data)
        ) as sweep:
            if options.beam is None:
                sweep.run(paths, jobs)
            else:
                sweep.run_by(options.beam, Opener(alone, options), paths)
    except CodecError as error:
        raise WorkError(str(error)) from error
    rd_report.add(elsewhere, options.out)
    _write_about(options, codecs, jobs)
    rd_report.remake(options.out)
    command.written(
        options.out,
        f"rows.csv, about.json, {', '.join(rd_report.WRITTEN)}; BD-rates are in table.md",
        f"lossylab eval rd --remake --out={shlex.quote(options.out)} draws them again",
    )


def alone(options: RdOptions) -> Measure:
    """What measures images in a worker, see `pipeline.Opener`."""
    return Sweep(None, _codecs(options), data=options.data).alone


def _codecs(options: RdOptions) -> list[ImageCodec]:
    """The codecs that are asked for; raises UsageError, or CodecError's message as one."""
    codecs: list[ImageCodec] = [CLASSICAL[name]() for name in options.codecs]
    try:
        for text in options.external:
            name, *rest = text.split(":")
            require(
                name in external.KNOWN and 2 <= len(rest) <= 3,
                f"`external` takes NAME:ENCODER:DECODER[:CONFIG], got '{text}'",
            )
            codecs.append(external.External(name, *rest))
        for codec in codecs:
            codec.version()
    except CodecError as error:
        raise UsageError(str(error)) from error
    codecs += learned(options.models)
    require_distinct("codecs", [codec.name for codec in codecs])
    require(bool(codecs), "nothing to measure: give `codecs`, `models` or `external`")
    return codecs


def _elsewhere(options: RdOptions, paths: list[str], codecs: list[ImageCodec]) -> pd.DataFrame:
    """Points measured elsewhere; raises UsageError if they do not fit."""
    with naming("points"):
        tables = [rd_report.read_elsewhere(path) for path in options.points]
    table = pd.concat(tables) if tables else rd_report.no_points()
    table["data"] = options.data
    strange = sorted(set(table.image) - {pathlib.Path(path).stem for path in paths})
    require(not strange, f"`points` has images that `data` has not: {', '.join(strange[:3])}")
    names = {codec.name for codec in codecs}
    same = sorted((names | rd_report.measured(options.out)) & set(table.codec))
    require(not same, f"`points`: '{', '.join(same)}' is the name of another codec")
    same = sorted(names & set(rd_report.elsewhere(options.out).codec))
    require(
        not same,
        f"{options.out} has points of {', '.join(same)} that were measured elsewhere: remove "
        f"{rd_report.ELSEWHERE} there, or choose another `out`",
    )
    return table


def _write_about(options: RdOptions, codecs: list[ImageCodec], jobs: int) -> None:
    """What a reader needs to know of the rows; codecs of earlier sweeps are kept."""
    made_by = environment()
    before = about(options.out).get("codecs", {})
    facts = {
        "title": options.title,
        "anchor": options.anchor,
        "data": options.data,
        **shards.said(options.shard, options.beam),
        **budgets.beside_others(options.out, _trained(codecs)),
        "protocol": {
            "rate": "bytes of the whole file * 8 / pixels",
            "settings": f"searched per image for {POINTS} rates spaced logarithmically from "
            f"{LOWEST_BPP} to {HIGHEST_BPP} bits per pixel, or the codec's own range",
            "psnr": "(4 Y + Cb + Cr) / 6, ProxIQA Eq. 12, dB; planes capped at 60 by libvmaf",
            "psnr_rgb": "RGB, dB",
            "psnr, ssim, ms_ssim, vif, vif_scale0, vmaf": vmaf.PROTOCOL,
            "gray": vmaf.GRAY,
            "mean": "arithmetic, over images",
            "times": f"milliseconds with {jobs} pieces of work at a time",
        },
        "codecs": {
            **(before if isinstance(before, dict) else {}),
            **{
                codec.name: {
                    "version": codec.version(),
                    "settings": f"{codec.settings[0]} to {codec.settings[-1]}",
                    "options": codec.options(codec.settings[0]),
                    "command": made_by["command"],
                    "commit": made_by["commit"],
                }
                for codec in codecs
            },
        },
    }
    write_about(options.out, facts)


def _trained(codecs: list[ImageCodec]) -> dict[str, dict[str, Any]]:
    """By learned codec, what of its training claims ask for."""
    found = {}
    for codec in codecs:
        if isinstance(codec, (Learned, LearnedJpeg)):
            trainings = codec.trainings()
            told = {name: trainings[0][name] for name in _TOLD if name in trainings[0]}
            found[codec.name] = {**budgets.counted("proxiqa", trainings), **told}
    return found


if __name__ == "__main__":
    command.as_program(RdOptions, measure, "lossylab eval rd")
