"""Sections of the benchmark about generators: distorting, statistics, latent search, sampling."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from lossylab.cli.benchmark.timing import InTurns
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.distortions import distort
from lossylab.eval.metrics import nss
from lossylab.inference.export.distorter import Distorter
from lossylab.inference.export.sampler import draw_uniforms, sample_naive, sample_wavefront
from lossylab.inference.latent.prior import Prior
from lossylab.inference.latent.search import Search, Settings
from lossylab.models import stylegan
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.models.unet import ResidualUNet

_WIDTHS = (16, 64)  # filters of the generator in the small budget, and the paper's
_COMPARED = 24  # images, as many as Kodak has
_SEARCHES = {"stylegan2, 1024": (2, 1024), "stylegan1, 1024": (1, 1024)}
_GIVEN = 32  # pixels
_SAMPLED = {"100 channels, 6 blocks": ({}, 64)}  # network's options, side of the image
_PASSES = 3  # of the whole network: one for each pixel would take an hour


def distortions(in_turns: InTurns, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """Distorting a 768x512 image; the divergence of 24 pairs of such images."""
    del filters
    image = read_image(find_images("sample_train")[-1])[:512, :768]
    actions = {}
    for width in _WIDTHS:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "export")
            Distorter.save(ResidualUNet(width), path, {})
            loaded = Distorter(path)
        actions[f"generator, {width} filters"] = partial(loaded.distort, image)
    noisy = distort(image, "white")
    actions["an image's histogram"] = partial(nss.histogram, noisy)
    for name, seconds in in_turns(actions, rounds).items():
        yield {"work": name, "image": "768x512", "seconds": seconds}

    def compare() -> None:
        for _ in range(_COMPARED):
            nss.jensen_shannon(nss.histogram(image), nss.histogram(noisy))

    (seconds,) = in_turns({"compare": compare}, 3).values()
    yield {"work": f"JSD of {_COMPARED} pairs", "image": "768x512", "seconds": seconds}


def latent(in_turns: InTurns, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """A step of the search under the MMD constraint with generators of the official sizes."""
    del in_turns, filters
    for name, (version, resolution) in _SEARCHES.items():
        generator = stylegan.random(version, resolution, 0)
        given = np.full((1, _GIVEN, _GIVEN, 3), 127.5)
        steps = max(rounds, 3)
        search = Search(generator, Prior(generator, 1000, 2), Settings(steps=steps), given)
        ends: list[float] = []
        search.run(lambda *_, ends=ends: ends.append(time.perf_counter()))
        yield {
            "work": f"step of a search, {name}",
            "seconds": float(np.median(np.diff(ends))),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def sampling(in_turns: InTurns, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """Drawing an image from a degradation model by wavefronts, and by whole passes."""
    del in_turns, filters, rounds
    for name, (options, side) in _SAMPLED.items():
        network = ConditionalPixelCNN(**options)
        random = np.random.default_rng(0)
        condition = random.integers(0, 256, (1, side, side, 3), np.uint8)
        network.initialize(*(tf.constant(condition, tf.float32),) * 2)
        uniforms = draw_uniforms(0, 1, side, side, network.options["mixtures"])
        start = time.perf_counter()
        sample_wavefront(network, condition, uniforms)
        fast = time.perf_counter() - start
        slow = _seconds_of_a_pass(network, condition, uniforms)
        yield {
            "work": f"sample {side}x{side}, {name}",
            "seconds": fast,
            "naive_seconds": slow * side * side,
            "ratio": slow * side * side / fast,
        }


def _seconds_of_a_pass(network, condition, uniforms) -> float:
    """One pixel's share of the naive sampler: its loop is left after some of them."""
    times: list[float] = []

    def few(steps):
        for step in steps:
            times.append(time.perf_counter())
            if len(times) > _PASSES:
                return
            yield step

    sample_naive(network, condition, uniforms, few)
    return float(np.median(np.diff(times)))
