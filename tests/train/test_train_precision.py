"""Trainings in mixed precision: they resume exactly, and what they export is float32."""

import pytest
import tensorflow as tf

import lossylab
from lossylab.train import proxiqa
from lossylab.train.proxiqa import ProxiqaOptions


def _options(run, steps, precision, **more):
    return ProxiqaOptions(
        run_dir=str(run),
        train_data="sample_train",
        metric="mse",
        num_filters=8,
        batch=2,
        patch=32,
        precision=precision,
        log_every=2,
        steps=steps,
        **more,
    )


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
