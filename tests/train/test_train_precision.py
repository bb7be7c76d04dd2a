"""Trainings in mixed precision: they resume exactly, and what they export is float32."""

import csv

import pytest
import tensorflow as tf

import lossylab
from lossylab.core.errors import UsageError
from lossylab.train import proxiqa
from lossylab.train.proxiqa import ProxiqaOptions
from lossylab.train.proxiqa_draws import Draws


def _options(run, steps, precision, **more):
    return ProxiqaOptions(
        run_dir=str(run),
        train_data="sample_train",
        metric="mse",
        filters=8,
        batch=2,
        patch=32,
        precision=precision,
        log_every=2,
        steps=steps,
        **more,
    )


@pytest.mark.long
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_mixed_training_resumes_and_exports_float32(precision, tmp_path):
    proxiqa.train(_options(tmp_path / "whole", 4, precision))
    proxiqa.train(_options(tmp_path / "parts", 2, precision, export=False))
    proxiqa.train(_options(tmp_path / "parts", 4, precision, export=False))
    whole, parts = (tmp_path / run / "metrics.csv" for run in ("whole", "parts"))
    assert whole.read_text() == parts.read_text()
    export = tmp_path / "whole" / "export"
    assert lossylab.load(export).options["precision"] == precision
    graph = tf.saved_model.load(str(export)).signatures["compress"].graph
    inner = [op for f in graph._functions.values() for op in f.graph.get_operations()]
    types = {op.inputs[0].dtype for op in [*graph.get_operations(), *inner] if op.type == "Conv2D"}
    assert types == {tf.float32}
    assert tf.keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.long
def test_a_compiled_step_is_the_same_step(tmp_path, monkeypatch):
    # XLA draws other numbers from some keys.
    monkeypatch.setattr(Draws, "latent_noise", lambda draws, shapes, image, step: [0.0])
    losses = []
    for jit in (False, True):
        run = tmp_path / str(jit)
        proxiqa.train(_options(run, 1, "float32", jit=jit, export=False))
        with open(run / "metrics.csv") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    with pytest.raises(UsageError, match="`jit`: a step that waits for ffmpeg's vmaf"):
        _options(tmp_path, 2, "float32", jit=True).replace(metric="vmaf")
    with pytest.raises(UsageError, match="`jit` goes with `strategy`=one, not mirrored"):
        _options(tmp_path, 2, "float32", jit=True, strategy="mirrored")
