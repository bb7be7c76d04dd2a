"""Rate and quality of learned JPEG encoders beside JPEG without learning, from real files."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import pathlib
import shlex
from collections.abc import Sequence

from lossylab.core import command
from lossylab.core.errors import CodecError, WorkError
from lossylab.core.options import naming, require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.patches import check_sizes
from lossylab.eval.measurements import about, own_folder, write_about
from lossylab.eval.measures import Color
from lossylab.eval.options.rd import JpegRdOptions
from lossylab.eval.schemas import TABLE_STARTS
from lossylab.eval.sharing import shards
from lossylab.eval.sharing.pipeline import Measure, Opener
from lossylab.eval.sweep import Sweep
from lossylab.inference.codecs.base import ImageCodec
from lossylab.inference.codecs.classical import FlatJpeg, Jpeg
from lossylab.inference.codecs.formats import FORMATS
from lossylab.inference.codecs.other_jpegs import OTHERS
from lossylab.inference.codecs.registry import LearnedJpeg, learned
from lossylab.inference.export.jpeg import Encoder

log = logging.getLogger("lossylab")

# Of standard JPEG: those that the baseline's code plots.
QUALITIES = (*range(1, 10), *range(10, 91, 5))

# Of encoders with tables of their own; below, jpegli's and MozJPEG's files hardly get smaller.
OTHER_QUALITIES = (*range(5, 31, 5), *range(40, 91, 10))

# Of flat tables: 0.25 to 1 bits per pixel on Kodak.
STEPS = (255, 200, 160, 128, 104, 88, 72, 60, 50, 42, 36, 30, 24, 20)

# Options of the training that tell no budgets apart: where, how often and how fast, not what.
_NO_BUDGET = (
    *("run_dir", "log_every", "checkpoint_every", "summary_every", "validate_every"),
    *("validation_data", "keep_checkpoints", "check_images", "cache_mb", "data_service"),
    *("devices", "export", "dry_run", "offline"),
)
_OLD_NAMES = {"first_step": "initial_entry"}  # in exports of version 0.1.0
_FILES = ("lpips", "tables_from", "init_from", "train_data", "weights", "perceptual_weights")
# What has no effect without networks, a sigmoid of logits, LSTMs, LPIPS, features in its place.
_NETWORKS = (
    "backbone",
    "weights",
    "attention_weight",
    "preprocess",
    "train_backbone",
    "feature_scale",
)
_LOGITS, _LSTM = ("attention_gain", "attention_offset"), ("lstm_input", "lstm_output")
_LPIPS = ("lpips", "lpips_network")
_FEATURES = ("perceptual", "perceptual_weights", "perceptual_blocks")


def measure(options: JpegRdOptions) -> None:
    """Measures what is missing, and writes rows.csv and about.json.

    Raises:
      UsageError: if models, images or weights do not fit.
      WorkError: at the end, if something could not be measured; the rest is.
    """
    paths = shards.part(find_images(options.data), options.shard)
    paths = check_sizes(paths, Color.smallest, "MS-SSIM", options.skip_small)
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    measures, codecs, encoders, absent = _prepared(options)
    own_folder(options.out, ("about.json",))
    try:
        with contextlib.closing(
            Sweep(options.out, codecs, measures=measures, data=options.data)
        ) as sweep:
            if options.beam is None:
                sweep.run(paths, options.jobs or os.cpu_count() or 1)
            else:
                sweep.run_by(options.beam, Opener(alone, options), paths)
    except CodecError as error:
        raise WorkError(str(error)) from error
    facts = {
        "data": options.data,
        **shards.said(options.shard, options.beam),
        "protocol": measures.protocol,
        "lpips": measures.lpips,
        "models": _all_models(options.out, encoders),
        "not measured": absent,
    }
    write_about(options.out, facts)
    command.written(
        options.out,
        "rows.csv, about.json",
        f"lossylab eval jpeg_encoder --results={shlex.quote(options.out)}",
    )


def alone(options: JpegRdOptions) -> Measure:
    """What measures images in a worker, see `pipeline.Opener`."""
    measures, codecs, *_ = _prepared(options)
    return Sweep(None, codecs, measures=measures, data=options.data).alone


def _prepared(
    options: JpegRdOptions,
) -> tuple[Color, list[ImageCodec], list[LearnedJpeg], dict[str, str]]:
    """Measures, all codecs, those of them that are learned, and why others are not there."""
    found = learned([*options.models, *(_models_of(options.study) if options.study else ())])
    encoders = [codec for codec in found if isinstance(codec, LearnedJpeg)]
    strange = [codec.name for codec in found if codec not in encoders]
    require(not strange, f"`models`: {', '.join(strange)} are codecs, see `lossylab eval rd`")
    with naming("lpips"):
        measures = Color(options.lpips, options.lpips_network)
    others, absent = _others(options.compare_with)
    return (
        measures,
        [Jpeg(qualities=QUALITIES), FlatJpeg(STEPS), *others, *encoders],
        encoders,
        absent,
    )


def _others(names: Sequence[str]) -> tuple[list[ImageCodec], dict[str, str]]:
    """The other encoders that are installed, and why the rest is not there, which is logged."""
    found, absent = [], {}
    for name in names:
        codec = {**OTHERS, **FORMATS}[name](OTHER_QUALITIES)
        try:
            codec.version()
        except CodecError as error:
            absent[name] = str(error)
            log.warning("not measured: %s", error)
            continue
        found.append(codec)
    return found, absent


def _models_of(study: str) -> list[str]:
    """NAME:EXPORT of the variants of a study that have an export, NAME without the lambda."""
    exports = sorted(pathlib.Path(study).glob("runs/*/export"))
    require(bool(exports), f"`study`: no runs/*/export in {study}")
    names = [path.parent.name.rpartition("_")[0] for path in exports]
    return [
        f"{name}:{path}" for name, path in zip(names, exports) if name not in TABLE_STARTS.values()
    ]


def _all_models(out: str, encoders: list[LearnedJpeg]) -> dict[str, dict]:
    """The budgets of the models by name and setting; those measured earlier are kept."""
    models = collections.defaultdict(dict, about(out).get("models", {}))
    for codec in encoders:
        models[codec.name] = {setting: _budget(codec.model(setting)) for setting in codec.settings}
    return models


def _budget(encoder: Encoder) -> dict:
    """All options of a training but those that are not set, idle or of `_NO_BUDGET`."""
    options = {_OLD_NAMES.get(name, name): value for name, value in encoder.options.items()}
    found = {
        name: value
        for name, value in options.items()
        if name not in _NO_BUDGET and value not in (None, "", [])
    }
    for name in set(_FILES) & set(found):  # names say enough, wherever things lay
        found[name] = pathlib.Path(found[name]).name
    attention, lpips = found.get("attention"), found.get("perceptual", "lpips") == "lpips"
    logits = attention == "conv" or found.get("lstm_output") == "sigmoid_logits"
    idle = [
        *(_NETWORKS if attention == "none" else ()),
        *(() if logits else _LOGITS),
        *(_LSTM if attention not in ("lstm", "bilstm") else ()),
        *(_LPIPS if not (found.get("lpips_weight") and lpips) else ()),
        *(_FEATURES if not found.get("lpips_weight") or lpips else ()),
        *(("average",) if not found.get("average") else ()),
    ]
    return {name: value for name, value in found.items() if name not in idle}


if __name__ == "__main__":
    command.as_program(JpegRdOptions, measure, "lossylab eval jpeg_rd")
