"""Rate and quality of learned JPEG encoders beside standard JPEG, from real files.

  lossylab eval jpeg_rd --study=study --data=kodak --lpips=alex.npz --out=results/jpeg_encoder
  lossylab eval jpeg_rd --models=mine:runs/mine_*/export --data=kodak --out=results/x

Every file is written, decoded by Pillow and measured: rate, MSE, MS-SSIM and LPIPS of RGB as the
paper defines them (Sec. 6.3), the size with optimized Huffman codes, and how far ffmpeg's decoder
is apart. Killed and given again, the command computes nothing twice. `lossylab eval jpeg_encoder`
makes the figures, tables and claims.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib

from absl import flags

from lossylab.core.app import launch, new_flags, parse, require, require_distinct
from lossylab.core.environment import environment
from lossylab.core.errors import BackboneError, CodecError, UsageError, WorkError
from lossylab.core.files import make_folder, write_text
from lossylab.data.collections import find_images
from lossylab.data.patches import check_sizes
from lossylab.eval.measures import Color
from lossylab.eval.sweep import Sweep
from lossylab.inference.codecs.classical import Jpeg
from lossylab.inference.codecs.registry import LearnedJpeg, learned
from lossylab.inference.export.jpeg import Encoder
from lossylab.models.backbones.lpips import NETWORKS

# Of standard JPEG: those that the baseline's code plots.
QUALITIES = (*range(1, 10), *range(10, 91, 5))

_START = "start"  # runs of a study in which the tables that the variants begin with learn alone

FLAGS = new_flags()
flags.DEFINE_list("models", [], "NAME:EXPORT, one a point, or a pattern.", flag_values=FLAGS)
flags.DEFINE_string(
    "study", None, "Folder of a study: all runs in it, by variant.", flag_values=FLAGS
)
flags.DEFINE_string("data", "kodak", "Images to measure on.", flag_values=FLAGS)
flags.DEFINE_string("lpips", None, "LPIPS's weights, or random; none: left out.", flag_values=FLAGS)
flags.DEFINE_enum(
    "lpips_network", "alex", NETWORKS, "Whose features LPIPS compares.", flag_values=FLAGS
)
flags.DEFINE_string("out", None, "Folder of rows.csv.", flag_values=FLAGS)
flags.DEFINE_integer(
    "jobs", None, "Pieces of work at a time; all cores if not given.", 1, flag_values=FLAGS
)

# What of the training's options tells budgets apart.
_BUDGET = (
    *("attention", "backbone", "weights", "steps", "batch", "patch", "lmbda", "learning_rate"),
    *("table_scale", "lpips_weight", "lpips", "lpips_network", "ms_ssim_weight", "table_weight"),
    *("attention_weight", "attention_gain", "attention_offset", "preprocess", "first_step"),
    *("lstm_input", "lstm_output", "tables_from", "init_from", "train_data", "seed"),
)
_PLACES = ("lpips", "tables_from", "init_from", "train_data", "weights")
# What has no effect without networks, convolutional attention, LSTMs, LPIPS.
_NETWORKS = ("backbone", "weights", "attention_weight", "preprocess")
_CONV, _LSTM = ("attention_gain", "attention_offset"), ("lstm_input", "lstm_output")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out), "--out is needed: the folder to write")
    paths = find_images(FLAGS.data)
    check_sizes(paths, Color.smallest, "MS-SSIM")
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    encoders = learned([*FLAGS.models, *(_models_of(FLAGS.study) if FLAGS.study else ())])
    strange = [codec.name for codec in encoders if not isinstance(codec, LearnedJpeg)]
    require(not strange, f"--models: {', '.join(strange)} are codecs, see `lossylab eval rd`")
    try:
        measures = Color(FLAGS.lpips, FLAGS.lpips_network)
    except BackboneError as error:
        raise UsageError(f"--lpips: {error}") from error
    out = make_folder(FLAGS.out)
    codecs = [Jpeg(qualities=QUALITIES), *encoders]
    try:
        with contextlib.closing(Sweep(FLAGS.out, codecs, measures=measures)) as sweep:
            sweep.run(paths, FLAGS.jobs or os.cpu_count())
    except CodecError as error:
        raise WorkError(str(error)) from error
    write_text(out / "about.json", json.dumps(_about(out, encoders, measures), indent=1) + "\n")


def _models_of(study: str) -> list[str]:
    """NAME:EXPORT of the variants of a study that have an export, NAME without the lambda."""
    exports = sorted(pathlib.Path(study).glob("runs/*/export"))
    require(bool(exports), f"--study: no runs/*/export in {study}")
    names = [path.parent.name.rpartition("_")[0] for path in exports]
    return [f"{name}:{path}" for name, path in zip(names, exports) if name != _START]


def _about(out: pathlib.Path, encoders: list[LearnedJpeg], measures: Color) -> dict:
    """What a reader needs to know of the rows, JSON values; earlier models are kept."""
    before = {}
    with contextlib.suppress(OSError, ValueError, KeyError):
        before = json.loads((out / "about.json").read_text())["models"]
    models = collections.defaultdict(dict, before)
    for codec in encoders:
        models[codec.name] = {setting: _budget(codec.model(setting)) for setting in codec.settings}
    return {
        "data": FLAGS.data,
        "protocol": measures.protocol,
        "lpips": measures.lpips,
        "models": models,
        **environment(),
    }


def _budget(encoder: Encoder) -> dict:
    options = encoder.options
    found = {name: options[name] for name in _BUDGET if options.get(name) not in (None, "")}
    for name in set(_PLACES) & set(found):  # names say enough, wherever things lay
        found[name] = pathlib.Path(found[name]).name
    attention = found.get("attention")
    idle = [
        *(_NETWORKS if attention == "none" else ()),
        *(_CONV if attention != "conv" else ()),
        *(_LSTM if attention not in ("lstm", "bilstm") else ()),
        *(() if found.get("lpips_weight") else ("lpips", "lpips_network")),
    ]
    return {name: value for name, value in found.items() if name not in idle}


if __name__ == "__main__":
    launch(main)
