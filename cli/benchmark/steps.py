"""Training steps and passes through networks, as the benchmark times them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core.errors import UsageError
from lossylab.data.collections import find_images
from lossylab.data.jpeg import luminance_table
from lossylab.data.schedule import Schedule
from lossylab.models import restorers, stylegan
from lossylab.models.layers import precision
from lossylab.train.distortion_gan import DistortionTask
from lossylab.train.jpeg_encoder import EncoderTask
from lossylab.train.mmd_restoration import DegradationTask
from lossylab.train.options.distortion_gan import DistortionGanOptions
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions
from lossylab.train.options.mmd_restoration import MmdRestorationOptions
from lossylab.train.options.proxiqa import ProxiqaOptions
from lossylab.train.options.rankiqa import RankiqaOptions
from lossylab.train.options.wcdgan import WcdganOptions
from lossylab.train.proxiqa import ProxIQATask
from lossylab.train.rankiqa import RankIQATask
from lossylab.train.session import Files
from lossylab.train.wcdgan import RestorationTask

# Trainings as published, with random weights, on which speed does not depend.
_CODEC = (ProxIQATask, ProxiqaOptions)
_RESTORER = (RestorationTask, WcdganOptions)
TRAININGS: dict[str, tuple[Callable, type, dict[str, Any]]] = {
    "bls2017_128": (*_CODEC, {"metric": "mse", "filters": 128}),
    "bls2017_192": (*_CODEC, {"metric": "mse"}),
    "bmshj2018_192": (*_CODEC, {"metric": "mse", "codec": "bmshj2018"}),
    "wcdgan": (*_RESTORER, {"weights": "random"}),
    "dncnn": (*_RESTORER, {"model": "dncnn"}),
    "jpeg_encoder": (EncoderTask, JpegEncoderOptions, {"weights": "random", "lpips": "random"}),
    "distortion_gan": (DistortionTask, DistortionGanOptions, {}),
    "mmd_restoration": (DegradationTask, MmdRestorationOptions, {"max_patch": 64}),
    "rankiqa": (
        lambda options, files: RankIQATask(options, files, None),
        RankiqaOptions,
        {"weights": "random"},
    ),
}
# Networks that restore a 768x512 image, and a generator that makes one of 1024x1024.
PASSES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "wcdgan_rgb": ("wcdgan", 3, {}),
    "dncnn3": ("dncnn", 1, {"layers": 20, "batch_normalization": False}),
    "memnet_rgb": ("memnet", 3, {}),
    "mwcnn_rgb": ("mwcnn", 3, {}),
}
STYLEGAN2 = "stylegan2"
_SIZE, _RESOLUTION = (512, 768), 1024


class Timed:
    """Something to time, compiled: call it to do it and wait for the end.

    Attributes:
      graph: what is run.
    """

    def __init__(self, function: Callable, *inputs: tf.Tensor, keep: object = None) -> None:
        """Traces a function of tensors to a tensor; `keep` lives as long as it."""
        traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
        self.graph: tf.Graph = traced.graph
        self._traced, self._keep = traced, keep
        self._inputs = tf.nest.flatten(inputs)

    def __call__(self) -> None:
        """Does it once."""
        tf.nest.map_structure(lambda result: result.numpy(), self._traced(*self._inputs))


def training_step(name: str, policy: str, jit: bool = False, **changes: Any) -> Timed:
    """A step of one of `TRAININGS`, in its last phase.

    Args:
      name: of the training.
      policy: Keras's, of the step.
      jit: whether XLA compiles it.
      **changes: options that are to be others.

    Raises:
      UsageError: if the training cannot be compiled.
    """
    make, kind, given = TRAININGS[name]
    options = kind(run_dir="none", train_data="sample_train", **{**given, **changes})
    options = options.replace(precision=policy, jit=jit)
    strategy = tf.distribute.get_strategy()
    with precision.policy(policy):
        task = make(options, Files(find_images(options.train_data), []))
    task.checkpointed()
    task.phase = len(task.boundaries)
    batch = next(iter(task.dataset(Schedule(options.batch, options.seed))))
    step_of = tf.function(task.step, autograph=False, jit_compile=True) if jit else task.step

    def step(*parts: Any) -> tf.Tensor:
        with precision.policy(policy):
            whole = tf.nest.pack_sequence_as(batch, parts)
            return strategy.run(step_of, args=(whole, tf.constant(0, tf.int64)))["loss"]

    return Timed(step, *tf.nest.flatten(batch), keep=task)


def network_pass(name: str, policy: str) -> Timed:
    """One of `PASSES` over an image, or the generator of StyleGAN2."""
    if name == STYLEGAN2:
        network = stylegan.random(2, _RESOLUTION, 0)
        given = tf.zeros((1, network.sizes.latent))
    else:
        kind, channels, options = PASSES[name]
        network = restorers.make(kind, channels, luminance_table(10), **options)
        values = np.random.default_rng(0).integers(0, 256, (1, *_SIZE, channels))
        given = tf.constant(values, tf.float32)

    def apply(image: tf.Tensor) -> tf.Tensor:
        with precision.policy(policy, chained=True):
            return network(image)

    return Timed(apply, given, keep=network)


def variants(name: str, policies: tuple[str, ...], **changes: Any) -> Iterator[tuple[dict, Any]]:
    """A training's steps in some policies, with and without XLA, or the reason for none."""
    for policy in policies:
        for jit in (False, True):
            row = {"training": name, "precision": policy, "jit": jit}
            try:
                step = training_step(name, policy, jit, **changes)
                step()
                yield row, step
            except (UsageError, tf.errors.OpError) as error:
                yield row, str(error).splitlines()[0][:100]
