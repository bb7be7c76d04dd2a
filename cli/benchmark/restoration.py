"""Sections of the benchmark about restoration: networks, training data, a large image."""

from __future__ import annotations

import multiprocessing
import os
import platform
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
from lossylab.data.jpeg import degrade, luminance_table
from lossylab.data.lattice_pairs import Lattice, LatticeOptions, read_planes
from lossylab.data.schedule import Schedule
from lossylab.inference.export.restorer import Restorer
from lossylab.models import restorers

# Networks as published, with untrained weights: speed does not depend on them.
_NETWORKS = {
    "wcdgan_rgb": ("wcdgan", 3, {}),
    "wcdgan": ("wcdgan", 1, {}),
    "arcnn_rgb": ("arcnn", 3, {}),
    "dncnn_rgb": ("dncnn", 3, {}),
    "dncnn3": ("dncnn", 1, {"layers": 20, "batch_normalization": False}),
    "memnet_rgb": ("memnet", 3, {}),
    "mwcnn_rgb": ("mwcnn", 3, {}),
    "tnrd": ("tnrd", 1, {}),
}
_QUALITY = 10
_LARGE_NETWORKS = ("wcdgan_rgb", "dncnn_rgb")
_LARGE = (3000, 4000)


def networks(in_turns: InTurns, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """Restoring a 768x512 image inside the process, model loaded."""
    del filters
    loaded = {name: _restorer(*described) for name, described in _NETWORKS.items()}
    images = {channels: _image(channels)[:512, :768] for channels in (1, 3)}
    seconds = in_turns(
        {name: partial(n.restore, images[n.channels]) for name, n in loaded.items()}, rounds
    )
    devices = ", ".join(device.name for device in tf.config.list_logical_devices("GPU"))
    for name, network in loaded.items():
        height, width = images[network.channels].shape[:2]
        yield {
            "network": name,
            "parameters": network.parameters,
            "image": f"{width}x{height}",
            "seconds": seconds[name],
            "machine": f"{os.cpu_count()} {platform.machine()} cores, {devices or 'no GPU'}",
        }


def pairs_of_patches(in_turns: InTurns, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """Batches of WCDGAN's training data per second, images kept and decoded every time."""
    del filters
    paths = find_images("sample_train")
    for name, cache in (("kept", 1024), ("decoded and coded every time", 0)):
        batches = iter(Lattice(paths, LatticeOptions(cache_mb=cache)).pairs(Schedule(16, seed=1)))
        seconds = in_turns({"batch": partial(next, batches)}, rounds)
        yield {"images": name, "pairs_of_16_per_second": 1 / seconds["batch"]}
        del batches


def large(in_turns: InTurns, filters: Sequence[int], rounds: int) -> Iterator[dict]:
    """Time and peak memory of a process that restores a 4000x3000 image in tiles."""
    del in_turns, filters, rounds
    for name in _LARGE_NETWORKS:
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            seconds, mib = pool.apply(_restore_large, (*_NETWORKS[name], _LARGE))
        image = f"{_LARGE[1]}x{_LARGE[0]}"
        yield {"network": name, "image": image, "seconds": seconds, "peak_mib": mib}


def _restore_large(kind: str, channels: int, options: dict, size) -> tuple[float, float]:
    network, image = _restorer(kind, channels, options), _image(channels)
    repeats = [-(-wanted // side) for wanted, side in zip(size, image.shape)]
    image = np.tile(image, (*repeats, 1))[: size[0], : size[1]]
    start = time.perf_counter()
    network.restore(image)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _restorer(kind: str, channels: int, options: dict) -> Restorer:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "export")
        network = restorers.make(kind, channels, luminance_table(_QUALITY), **options)
        Restorer.save(network, path, {"quality": _QUALITY})
        return Restorer(path)


def _image(channels: int) -> np.ndarray:
    path = find_images("sample_train")[-1]
    image = read_planes(path, channels) if channels == 1 else read_image(path)
    return degrade(image, _QUALITY)
