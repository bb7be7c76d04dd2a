"""Trains codecs for several metrics and rates at equal steps, and compares their files.

  python -m lossylab.train.proxiqa_study --flagfile=train/flags/proxiqa_demo.flags --out=demo

One codec is trained for MSE first, and for every perceptual metric a proxy learns from what
that codec makes. From there every (metric, lambda) continues for the same number of steps. All
are exported and compress pictures they were not trained on; rows, a table against JPEG, a
plot, files and decoded pictures are written. Killed, the same command goes on where it was.
"""

from __future__ import annotations

import gc
import math
import pathlib
import sys

import tensorflow as tf
from absl import flags

from lossylab.data.collections import find_pictures
from lossylab.data.decode import read_picture
from lossylab.data.files import make_folder
from lossylab.data.patches import check_sizes
from lossylab.eval import rd
from lossylab.eval.app import launch, log, new_flags, parse, require
from lossylab.eval.metrics import vmaf
from lossylab.train import proxiqa

FLAGS = new_flags()
flags.DEFINE_string("out", None, "Folder of all runs and results.", flag_values=FLAGS)
flags.DEFINE_string(
    "results", None, "Folder of the results, if not OUT/results.", flag_values=FLAGS
)
flags.DEFINE_string("train_data", None, "Pictures to train on.", flag_values=FLAGS)
flags.DEFINE_string("test_data", None, "Pictures to compare on.", flag_values=FLAGS)
flags.DEFINE_list("metrics", ["mse", "vmaf"], "What to optimise for.", flag_values=FLAGS)
flags.DEFINE_list(
    "lmbdas",
    ["0.003", "0.01", "0.03"],
    "Weights of the pixel loss; perceptual runs get lambda / (1 - alpha), so that all weigh "
    "pixels alike.",
    flag_values=FLAGS,
)
flags.DEFINE_float("base_lmbda", 0.01, "Lambda of the common start.", 0.0, flag_values=FLAGS)
flags.DEFINE_integer("base_steps", 8000, "Steps of the common start.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "proxy_steps", 2000, "Steps of each proxy before its codecs.", 1, flag_values=FLAGS
)
flags.DEFINE_integer("steps", 2500, "Steps of each codec after it.", 1, flag_values=FLAGS)
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
flags.DEFINE_string("title", "", "Heading of the report; the budget is added.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    for name in ("out", "train_data", "test_data"):
        require(bool(getattr(FLAGS, name)), f"--{name} is needed")
    unknown = set(FLAGS.metrics) - set(proxiqa.METRICS)
    require(not unknown, f"--metrics knows {', '.join(proxiqa.METRICS)}, not {', '.join(unknown)}")
    lmbdas = [_number(text) for text in FLAGS.lmbdas]
    test = find_pictures(FLAGS.test_data)
    require(
        not set(test) & set(find_pictures(FLAGS.train_data)), "--test_data overlaps --train_data"
    )
    check_sizes(test, vmaf.SMALLEST, "libvmaf's windows")
    for path in test:
        read_picture(path)  # a damaged one would be found only after hours of training
    out = make_folder(FLAGS.out)
    if FLAGS.results:
        make_folder(FLAGS.results)

    log.info("the common start, for mse at lambda %g", FLAGS.base_lmbda)
    base = out / "base"
    _train(base, "mse", FLAGS.base_lmbda, FLAGS.base_steps, ["--noexport"])
    models = []
    for metric in FLAGS.metrics:
        extra = [f"--init_from={base}"]
        scale = 1.0
        if metric != "mse":
            proxy = out / f"{metric}_proxy"
            log.info("the proxy of %s", metric)
            _train(proxy, metric, 0.0, FLAGS.proxy_steps, [*extra, "--optimize=pretrain_proxy"])
            extra += [f"--proxy_from={proxy}", f"--alpha={FLAGS.alpha}"]
            scale = 1 / (1 - FLAGS.alpha)
        for lmbda in lmbdas:
            log.info("a codec for %s at lambda %g", metric, lmbda)
            run = out / f"{metric}_{lmbda:g}"
            _train(run, metric, scale * lmbda, FLAGS.steps, extra)
            models.append(f"{metric}:{run / 'export'}")
    results = FLAGS.results or str(out / "results")
    rd.main(
        [
            "rd",
            f"--models={','.join(models)}",
            f"--data={FLAGS.test_data}",
            f"--out={results}",
            f"--title={_title()}",
            f"--cache_dir={out / 'scores'}",
            "--keep_files" if not FLAGS.results else "--nokeep_files",
        ]
    )
    sys.stdout.write((pathlib.Path(results) / "table.md").read_text())
    _say_where(pathlib.Path(results), out)


def _train(run: pathlib.Path, metric: str, lmbda: float, steps: int, extra: list[str]) -> None:
    proxiqa.main(
        [
            "proxiqa",
            f"--run_dir={run}",
            f"--train_data={FLAGS.train_data}",
            f"--metric={metric}",
            f"--lmbda={lmbda:g}",
            f"--steps={steps}",
            f"--num_filters={FLAGS.num_filters}",
            f"--learning_rate={FLAGS.learning_rate}",
            f"--proxy_learning_rate={FLAGS.proxy_learning_rate}",
            f"--seed={FLAGS.seed}",
            f"--checkpoint_every={FLAGS.checkpoint_every}",
            "--log_every=25",
            "--summary_every=0",
            *extra,
        ]
    )
    tf.keras.backend.clear_session()
    gc.collect()


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    require(math.isfinite(value) and value > 0, f"--lmbdas takes positive numbers, got '{text}'")
    return value


def _title() -> str:
    budget = (
        f"{FLAGS.base_steps} + {FLAGS.steps} steps of 8 patches of 128x128, N = "
        f"{FLAGS.num_filters}, alpha = {FLAGS.alpha:g}; the paper trains 2,100,000 at N = 192"
    )
    if set(FLAGS.metrics) != {"mse"}:
        budget = f"proxy first alone for {FLAGS.proxy_steps} steps; {budget}"
    return f"{FLAGS.title or 'BLS for ' + ' and '.join(FLAGS.metrics)} ({budget})"


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
