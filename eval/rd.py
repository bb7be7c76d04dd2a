"""Rate and quality of codecs over images: rows, tables with BD-rates, and a plot.

  lossylab eval rd --codecs=jpeg,jpeg2000,hevc444,hevc420 --data=kodak --out=results/classical
  lossylab eval rd --models=mse:runs/mse/export,vmaf:runs/vmaf/export --data=kodak --out=results/x

Models of one name are points of one curve. Rates are those of the files that were written and
decoded again; quality is measured on what the decoder gave. JPEG and HEVC get, per image,
the settings whose rates come nearest to eight from 0.05 to 2 bits per pixel. Killed and given
again, the command computes nothing twice; --csv adds points that were measured elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

import pandas as pd
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require, require_distinct, require_known
from lossylab.core.environment import environment
from lossylab.core.errors import CodecError, UsageError, WorkError
from lossylab.core.files import make_folder
from lossylab.data.collections import find_images
from lossylab.data.patches import check_sizes
from lossylab.eval.metrics import vmaf
from lossylab.eval.report import rd_report
from lossylab.eval.sweep import Sweep
from lossylab.inference.codecs import external
from lossylab.inference.codecs.base import HIGHEST_BPP, LOWEST_BPP, POINTS, ImageCodec
from lossylab.inference.codecs.registry import CLASSICAL, learned

FLAGS = new_flags()
flags.DEFINE_list("codecs", ["jpeg"], f"From {', '.join(CLASSICAL)}.", flag_values=FLAGS)
flags.DEFINE_list(
    "models",
    [],
    "NAME:EXPORT, one a point, or a pattern of several: mse:runs/mse_*/export.",
    flag_values=FLAGS,
)
flags.DEFINE_multi_string(
    "external",
    [],
    f"NAME:ENCODER:DECODER[:CONFIG], a codec you have; NAME from {', '.join(external.KNOWN)}.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "csv",
    [],
    "Files of points measured elsewhere: columns codec, image, bpp_file and any of the metrics.",
    flag_values=FLAGS,
)
flags.DEFINE_string("anchor", "jpeg", "Codec that BD-rates compare with.", flag_values=FLAGS)
flags.DEFINE_string("data", "kodak", "Images to measure on.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder for rows, tables and plot.", flag_values=FLAGS)
flags.DEFINE_string("title", "Rate and quality", "Heading of the report.", flag_values=FLAGS)
flags.DEFINE_integer(
    "jobs", None, "Pieces of work at a time; all cores if not given.", 1, flag_values=FLAGS
)
flags.DEFINE_bool(
    "remake", False, "Only make tables and plot again, from OUT/rows.csv.", flag_values=FLAGS
)
flags.DEFINE_bool("keep_files", False, "Write files and decoded images.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out), "--out is needed: the folder to write")
    if FLAGS.remake:
        rd_report.remake(FLAGS.out)
        return
    paths = find_images(FLAGS.data)
    check_sizes(paths, vmaf.SMALLEST, "libvmaf's windows")
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    codecs = _codecs()
    elsewhere = _elsewhere({pathlib.Path(path).stem for path in paths}, codecs)
    known = {codec.name for codec in codecs} | set(elsewhere.codec)
    require(FLAGS.anchor in known, f"--anchor={FLAGS.anchor} is none of {', '.join(sorted(known))}")
    make_folder(FLAGS.out)
    try:
        with contextlib.closing(Sweep(FLAGS.out, codecs, FLAGS.keep_files)) as sweep:
            sweep.run(paths, FLAGS.jobs or os.cpu_count())
    except CodecError as error:
        raise WorkError(str(error)) from error
    rd_report.write(elsewhere, about(codecs), FLAGS.out)


def _codecs() -> list[ImageCodec]:
    """The codecs that the flags name; raises UsageError, or CodecError's message as one."""
    require_known("codecs", FLAGS.codecs, CLASSICAL)
    codecs = [CLASSICAL[name]() for name in FLAGS.codecs]
    try:
        for text in FLAGS.external:
            name, *rest = text.split(":")
            require(
                name in external.KNOWN and 2 <= len(rest) <= 3,
                f"--external takes NAME:ENCODER:DECODER[:CONFIG], got '{text}'",
            )
            codecs.append(external.External(name, *rest))
        for codec in codecs:
            codec.version()
    except CodecError as error:
        raise UsageError(str(error)) from error
    codecs += learned(FLAGS.models)
    require_distinct("codecs", [codec.name for codec in codecs])
    require(bool(codecs), "nothing to measure: give --codecs, --models or --external")
    return codecs


def _elsewhere(images: set[str], codecs: list[ImageCodec]) -> pd.DataFrame:
    """Points of --csv; raises UsageError if they do not fit."""
    tables = [rd_report.read_elsewhere(path) for path in FLAGS.csv]
    table = pd.concat(tables) if tables else rd_report.no_points()
    strange = sorted(set(table.image) - images)
    require(not strange, f"--csv has images that --data has not: {', '.join(strange[:3])}")
    names = {codec.name for codec in codecs}
    twins = sorted((names | rd_report.measured(FLAGS.out)) & set(table.codec))
    require(not twins, f"--csv: '{', '.join(twins)}' is the name of another codec")
    twins = sorted(names & set(rd_report.elsewhere(FLAGS.out).codec))
    require(
        not twins,
        f"{FLAGS.out} has points of {', '.join(twins)} that were measured elsewhere: remove "
        f"{rd_report.ELSEWHERE} there, or choose another --out",
    )
    return table


def about(codecs: list[ImageCodec]) -> dict:
    """What a reader needs to know of rows: protocol, software, command, commit, data."""
    made_by = environment()
    return {
        "title": FLAGS.title,
        "anchor": FLAGS.anchor,
        "data": FLAGS.data,
        "protocol": {
            "rate": "bytes of the whole file * 8 / pixels",
            "settings": f"searched per image for {POINTS} rates spaced logarithmically from "
            f"{LOWEST_BPP} to {HIGHEST_BPP} bits per pixel, or the codec's own range",
            "psnr": "(4 Y + Cb + Cr) / 6, ProxIQA Eq. 12, dB; planes capped at 60 by libvmaf",
            "psnr_rgb": "RGB, dB",
            "psnr, ssim, ms_ssim, vif, vif_scale0, vmaf": vmaf.PROTOCOL,
            "mean": "arithmetic, over images",
            "times": f"milliseconds with {FLAGS.jobs or os.cpu_count()} pieces of work at a time",
        },
        "codecs": {
            codec.name: {
                "version": codec.version(),
                "settings": f"{codec.settings[0]} to {codec.settings[-1]}",
                "options": codec.options(codec.settings[0]),
                "command": made_by["command"],
                "commit": made_by["commit"],
            }
            for codec in codecs
        },
        **made_by,
    }


if __name__ == "__main__":
    launch(main)
