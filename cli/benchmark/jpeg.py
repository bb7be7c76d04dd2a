"""Sections of the benchmark about the JPEG encoder: writing files (Fig. 12), training (Fig. 11)."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from lossylab.cli import jpeg
from lossylab.cli.benchmark.timing import Samples
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import PatchOptions, random_patches
from lossylab.data.schedule import Schedule
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.jpeg import Encoder
from lossylab.models.backbones.block_features import BACKBONES
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers.attention import ConvAttention, LSTMAttention
from lossylab.train.jpeg_encoder import EncoderTask
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions
from lossylab.train.session import Files

# Encoders with untrained networks: speed does not depend on their weights.
_ENCODERS = {
    "no attention": lambda: None,
    **{
        backbone: lambda backbone=backbone: ConvAttention(
            BACKBONES[backbone](weights="random"), 0.01, 4.0
        )
        for backbone in BACKBONES
    },
    "lstm": lambda: LSTMAttention(BACKBONES["vgg19"](weights="random")),
    "bilstm": lambda: LSTMAttention(BACKBONES["vgg19"](weights="random"), both_ways=True),
}
_STEP = 24.0  # of all tables: about half a bit per pixel
_TRAINED = ("vgg19", "resnet152", "resnet152_block1")


def encoders(
    samples: Samples, codec_of: Callable[[int], Codec], filters: Sequence[int], rounds: int
) -> Iterator[dict]:
    """From a 768x512 image to the bytes of its file, and a BLS codec there and back."""
    image = read_image(find_images("sample_train")[-1])[:512, :768]
    actions = {}
    for name, attention in _ENCODERS.items():
        encoder = JPEGEncoder(attention())
        encoder.set_tables(np.full((2, 8, 8), _STEP))
        with tempfile.TemporaryDirectory() as folder:
            Encoder.save(encoder, os.path.join(folder, "export"), {})
            loaded = Encoder(os.path.join(folder, "export"))
        actions[name] = partial(jpeg.encode, loaded, image)
    for n in filters:
        actions[f"bls2017, {n} filters"] = partial(_there_and_back, codec_of(n), image)
    for name, seconds in samples(actions, rounds).items():
        work = "encode and decode" if name.startswith("bls") else "encode"
        yield {"network": name, "work": work, "image": "768x512", **_summary(seconds)}


def training(samples: Samples, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """A training step of the paper: 8 crops of 224 pixels, all losses, LPIPS by AlexNet."""
    del filters
    data = random_patches(find_images("sample_train"), PatchOptions(224), Schedule(8, seed=1))
    batch = next(iter(data))
    strategy, actions = tf.distribute.get_strategy(), {}
    for backbone in _TRAINED:
        options = JpegEncoderOptions(
            run_dir="none",
            train_data="none",
            backbone=backbone,
            weights="random",
            lpips="random",
        )
        task = EncoderTask(options, Files([], []))
        task.checkpointed()
        actions[backbone] = _stepper(strategy, task, batch)
    for name, seconds in samples(actions, rounds).items():
        yield {
            "network": name,
            "work": "training step",
            "image": "8 of 224x224",
            **_summary(seconds),
            "steps_per_second": 1 / statistics.mean(seconds),
        }


def _there_and_back(codec: Codec, image: np.ndarray) -> np.ndarray:
    return codec.decompress(codec.compress(image))


def _stepper(strategy: tf.distribute.Strategy, task, batch: tf.Tensor):
    @tf.function
    def step():
        return strategy.run(task.step, args=(batch, tf.constant(0, tf.int64)))["loss"]

    return lambda: step().numpy()


def _summary(seconds: Sequence[float]) -> dict:
    devices = ", ".join(device.name for device in tf.config.list_logical_devices("GPU"))
    return {
        "seconds": statistics.mean(seconds),
        "standard_error": statistics.stdev(seconds) / len(seconds) ** 0.5,
        "times": len(seconds),
        "machine": f"{os.cpu_count()} {platform.machine()} cores, {devices or 'no GPU'}",
    }
