"""Trains codecs for several losses and rates at equal steps, and compares their files.

  python -m lossylab.train.studies.proxiqa --flagfile=train/flags/proxiqa_demo.flags --out=demo

One codec is trained for MSE first, then one for every lambda; for every perceptual metric a
proxy learns from what the first codec makes. From there every (variant, lambda) continues for
the same number of steps. Variants are mse (Eq. 8); ssim_p, ms_ssim_p, vmaf_p and vif_p through
a proxy (Eq. 10, 11); ssim_mse with the metric itself beside the pixel loss (Eq. 13) and ssim
with the metric alone (Eq. 14), likewise for ms_ssim.

All are exported and compress images they were not trained on; rows, tables against the first
variant, a plot, files and decoded images are written. Killed, the same command goes on where it
was.
"""

from __future__ import annotations

import gc
import json
import math
import os
import pathlib
import sys

import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, log, new_flags, parse, require, require_known
from lossylab.core.files import make_folder
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import check_sizes
from lossylab.eval import rd
from lossylab.eval.metrics import vmaf
from lossylab.inference.codecs.registry import CLASSICAL
from lossylab.train import proxiqa

# Variant -> metric, how it is optimized, its share if it is not --alpha.
VARIANTS = {
    "mse": ("mse", "proxy", None),
    **{f"{m}_p": (m, "proxy", None) for m in ("ssim", "ms_ssim", "vmaf", "vif")},
    **{f"{m}_mse": (m, "direct", None) for m in ("ssim", "ms_ssim")},
    **{m: (m, "direct", 1.0) for m in ("ssim", "ms_ssim")},
}

FLAGS = new_flags()
flags.DEFINE_string("out", None, "Folder of all runs and results.", flag_values=FLAGS)
flags.DEFINE_string(
    "results", None, "Folder of the results, if not OUT/results.", flag_values=FLAGS
)
flags.DEFINE_string("train_data", None, "Images to train on.", flag_values=FLAGS)
flags.DEFINE_string("test_data", None, "Images to compare on.", flag_values=FLAGS)
flags.DEFINE_enum("codec", "bls2017", list(proxiqa.CODECS), "See train.proxiqa.", flag_values=FLAGS)
flags.DEFINE_list("variants", ["mse", "vmaf_p"], "Losses to train with.", flag_values=FLAGS)
flags.DEFINE_list(
    "lmbdas",
    ["0.003", "0.01", "0.03"],
    "Weights of the pixel loss: perceptual runs are trained at lambda / (1 - alpha), so that all "
    "weigh pixels alike. Runs and rows are named by the number given here.",
    flag_values=FLAGS,
)
flags.DEFINE_float("base_lmbda", 0.01, "Lambda of the common start.", 0.0, flag_values=FLAGS)
flags.DEFINE_integer("base_steps", 8000, "Steps of the common start.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "rate_steps", 0, "Steps for MSE at each lambda after it.", 0, flag_values=FLAGS
)
flags.DEFINE_integer(
    "proxy_steps", 2000, "Steps of each proxy before its codecs.", 1, flag_values=FLAGS
)
flags.DEFINE_integer("steps", 2500, "Steps of each variant after that.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "drop_step",
    2_000_000,
    "Step of each variant from which the learning rates are a tenth.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "also_at", [], "Fewer steps at which variants are exported too.", flag_values=FLAGS
)
flags.DEFINE_integer("num_filters", 128, "Filters of every layer.", 1, flag_values=FLAGS)
flags.DEFINE_float("alpha", 0.5, "See train.proxiqa.", 0.0, 0.99, flag_values=FLAGS)
flags.DEFINE_float("learning_rate", 1e-4, "Of the codecs.", 0.0, flag_values=FLAGS)
flags.DEFINE_float(
    "proxy_learning_rate",
    1e-3,
    "Of the proxy, which starts from nothing: the authors' code has 1e-3, the paper 1e-4.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", 1, "Seed of every run.", 0, flag_values=FLAGS)
flags.DEFINE_integer("checkpoint_every", 500, "See train.proxiqa.", 1, flag_values=FLAGS)
flags.DEFINE_list(
    "compare_with", ["jpeg"], "Other codecs, see eval rd --codecs.", flag_values=FLAGS
)
flags.DEFINE_bool("measure", True, "Compare after training.", flag_values=FLAGS)
flags.DEFINE_string("title", "", "Heading of the report; the budget is added.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    for name in ("out", "train_data", "test_data"):
        require(bool(getattr(FLAGS, name)), f"--{name} is needed")
    require_known("variants", FLAGS.variants, VARIANTS)
    require_known("compare_with", FLAGS.compare_with, CLASSICAL)
    lmbdas = [_number(text) for text in FLAGS.lmbdas]
    stops = _stops()
    test = find_images(FLAGS.test_data)
    require(not set(test) & set(find_images(FLAGS.train_data)), "--test_data overlaps --train_data")
    check_sizes(test, vmaf.SMALLEST, "libvmaf's windows")
    for path in test:
        read_image(path)  # a damaged one would be found only after hours of training
    out = make_folder(FLAGS.out)
    if FLAGS.results:
        make_folder(FLAGS.results)
    models = _train_all(out, lmbdas, stops)
    if FLAGS.measure:
        _measure(out, models)


def _train_all(out: pathlib.Path, lmbdas: list[float], stops: list[int]) -> list[str]:
    """Trains what is not trained yet; returns the exports as NAME:EXPORT."""
    log.info("the common start, for mse at lambda %g", FLAGS.base_lmbda)
    base = out / "base"
    _train(base, FLAGS.base_lmbda, FLAGS.base_steps, 0, ["--metric=mse", "--noexport"])
    starts = dict.fromkeys(lmbdas, base)
    if FLAGS.rate_steps:
        for lmbda in lmbdas:
            log.info("the start at lambda %g", lmbda)
            starts[lmbda] = out / f"start_{lmbda:g}"
            options = ["--metric=mse", "--noexport", f"--init_from={base}"]
            _train(starts[lmbda], lmbda, FLAGS.rate_steps, 1, options)
    models = []
    for variant in FLAGS.variants:
        metric, mode, alpha = VARIANTS[variant]
        options = [f"--metric={metric}", f"--optimize={mode}", f"--drop_step={FLAGS.drop_step}"]
        scale = 1.0
        if metric != "mse":
            options.append(f"--alpha={FLAGS.alpha if alpha is None else alpha}")
            scale = 1 / (1 - FLAGS.alpha)
            if mode == "proxy":
                options.append(f"--proxy_from={_proxy(out, base, metric)}")
        for lmbda in lmbdas:
            log.info("a codec for %s at lambda %g", variant, lmbda)
            run = out / f"{variant}_{lmbda:g}"
            _train_and_export(run, scale * lmbda, stops, [*options, f"--init_from={starts[lmbda]}"])
            models += [(variant, steps, run) for steps in stops]
    return [_model(*model) for model in models]


def _model(variant: str, steps: int, run: pathlib.Path) -> str:
    """NAME:EXPORT of a variant after so many steps, such as bls_mse:runs/mse_0.01/export."""
    name = _name(variant)
    if steps == FLAGS.steps:
        return f"{name}:{run / 'export'}"
    return f"{name}_at_{steps}:{run / f'export_{steps}'}"


def _name(variant: str) -> str:
    return f"{FLAGS.codec.rstrip('0123456789')}_{variant}"


def _proxy(out: pathlib.Path, base: pathlib.Path, metric: str) -> pathlib.Path:
    """The run of a metric's proxy, which learns from what the common start makes."""
    run = out / f"{metric}_proxy"
    log.info("the proxy of %s", metric)
    options = [f"--metric={metric}", "--optimize=pretrain_proxy", f"--init_from={base}"]
    _train(run, 0.0, FLAGS.proxy_steps, 1, options)
    return run


def _train_and_export(run: pathlib.Path, lmbda: float, stops: list[int], options: list[str]):
    """Trains a variant; exports made on the way are kept as export_STEPS."""
    for steps in stops:
        kept = run / f"export_{steps}"
        if not kept.exists():
            require(
                steps == FLAGS.steps or not _is_past(run, steps),
                f"--also_at={steps}: {run} was already exported after other steps; choose another "
                "--out",
            )
            _train(run, lmbda, steps, 2, options)
            if steps != FLAGS.steps:
                os.rename(run / "export", kept)


def _is_past(run: pathlib.Path, steps: int) -> bool:
    """Whether a run has an export that is not of so many steps."""
    if not (run / "export").exists():
        return False
    try:
        return json.loads((run / "options.json").read_text())["steps"] != steps
    except (OSError, ValueError, KeyError):
        return True


def _train(run: pathlib.Path, lmbda: float, steps: int, stage: int, options: list[str]) -> None:
    proxiqa.main(
        [
            "proxiqa",
            f"--run_dir={run}",
            f"--codec={FLAGS.codec}",
            f"--train_data={FLAGS.train_data}",
            f"--lmbda={lmbda:g}",
            f"--steps={steps}",
            f"--num_filters={FLAGS.num_filters}",
            f"--learning_rate={FLAGS.learning_rate}",
            f"--proxy_learning_rate={FLAGS.proxy_learning_rate}",
            f"--seed={FLAGS.seed + stage}",  # no stage sees the patches of another
            f"--checkpoint_every={FLAGS.checkpoint_every}",
            "--log_every=25",
            "--summary_every=0",
            *options,
        ]
    )
    tf.keras.backend.clear_session()
    gc.collect()


def _measure(out: pathlib.Path, models: list[str]) -> None:
    """Compares the exports with each other and JPEG, and says where everything is."""
    results = FLAGS.results or str(out / "results")
    rd.main(
        [
            "rd",
            f"--models={','.join(models)}",
            f"--data={FLAGS.test_data}",
            f"--out={results}",
            f"--title={_title()}",
            f"--codecs={','.join(FLAGS.compare_with)}",
            f"--anchor={_name(FLAGS.variants[0])}",
            "--keep_files" if not FLAGS.results else "--nokeep_files",
        ]
    )
    sys.stdout.write((pathlib.Path(results) / "table.md").read_text())
    _say_where(pathlib.Path(results), out)


def _stops() -> list[int]:
    """Steps at which variants are exported, ascending, the last one included."""
    wrong = [
        text for text in FLAGS.also_at if not text.isdigit() or not 0 < int(text) < FLAGS.steps
    ]
    require(not wrong, f"--also_at takes numbers of steps below --steps, got {', '.join(wrong)}")
    return [*sorted(int(text) for text in FLAGS.also_at), FLAGS.steps]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    require(math.isfinite(value) and value > 0, f"--lmbdas takes positive numbers, got '{text}'")
    return value


def _title() -> str:
    stages = [FLAGS.base_steps, FLAGS.rate_steps, FLAGS.steps]
    budget = (
        f"{' + '.join(str(steps) for steps in stages if steps)} steps of 8 patches of 128x128, "
        f"N = {FLAGS.num_filters}, alpha = {FLAGS.alpha:g}; the paper trains 2,100,000 at N = 192"
    )
    if any(variant.endswith("_p") for variant in FLAGS.variants):
        budget = f"proxy first alone for {FLAGS.proxy_steps} steps; {budget}"
    return f"{FLAGS.title or FLAGS.codec + ': ' + ', '.join(FLAGS.variants)} ({budget})"


def _say_where(results: pathlib.Path, out: pathlib.Path) -> None:
    sys.stdout.write(
        f"\nrows      {results / 'rows.csv'}\n"
        f"table     {results / 'table.md'}\n"
        f"plot      {results / 'rd.png'}\n"
        f"exports   {out}/*/export\n"
    )
    if not FLAGS.results:
        sys.stdout.write(f"files     {results / 'files'} (.lossy, and .png as decoded)\n")


if __name__ == "__main__":
    launch(main)
