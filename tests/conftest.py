"""Fixtures: golden numbers, data sets where they are, small images where they are not."""

import ctypes
import gc
import os
import pathlib

import numpy as np
import pytest

# Processes side by side have a core each: threads of one operation would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import lossylab  # noqa: F401, I001 - says what TensorFlow reads when it is imported
import tensorflow as tf
from tensorflow.python.framework import ops

# glibc's, where it is: without arenas of their own, threads' freed memory goes back.
_C = ctypes.CDLL(None)
if hasattr(_C, "mallopt"):
    _C.mallopt(-8, 2)  # M_ARENA_MAX

GOLDEN = pathlib.Path(__file__).parent / "golden"


def pytest_configure(config):
    """Gives each pytest process two virtual CPU devices, for the distribution tests."""
    del config
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_collection_modifyitems(items):
    """Puts folders with the longest files first: no process waits for the other's at the end."""
    folders = ("train", "inference", "models", "eval", ".", "losses", "cli", "data", "core")
    rank = {GOLDEN.parent / folder: index for index, folder in enumerate(folders)}
    items.sort(key=lambda item: rank.get(item.path.parent, len(rank)))


@pytest.fixture(scope="module", autouse=True)
def released():
    """Gives back what a module's networks took.

    TensorFlow's registry of gradients keeps whatever used `tf.custom_gradient` in a graph, and the
    graph with it, to the end of the process.
    """
    yield
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    tf.keras.backend.clear_session()
    gc.collect()
    if hasattr(_C, "malloc_trim"):
        _C.malloc_trim(0)


@pytest.fixture(autouse=True)
def seeded():
    """Makes every test start from the same seeds."""
    tf.random.set_seed(1)


@pytest.fixture
def random():
    """A seeded NumPy generator."""
    return np.random.default_rng(1)


@pytest.fixture(scope="session")
def golden():
    """Loads a committed golden file by name."""
    return lambda name: np.load(GOLDEN / name)


@pytest.fixture(scope="session")
def collection():
    """Paths of a named collection; skips where it is not installed."""
    from lossylab.core.errors import CollectionError
    from lossylab.data.collections import find_images

    def find(name):
        try:
            return find_images(name)
        except CollectionError as error:
            pytest.skip(str(error))

    return find


@pytest.fixture(scope="session")
def images():
    """Three small images [128, 160, 3] out of scikit-image's."""
    from lossylab.data.collections import find_images
    from lossylab.data.decode import decode_image

    # Values as stored: rocket.jpg is Adobe RGB, and what tests were made for is not converted.
    found = [decode_image(path, keep_profile=True) for path in find_images("sample_test")]
    return [each.pixels[60:188, 80:240] for each in found]


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory, images):
    """A folder of `images` as PNG files, to be read only."""
    from PIL import Image

    place = tmp_path_factory.mktemp("images")
    for index, image in enumerate(images):
        Image.fromarray(image).save(place / f"{index}.png")
    return place


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory):
    """Uses the packaged ffmpeg and remembers nothing, whatever the user has set."""
    os.environ.pop("LOSSYLAB_FFMPEG", None)
    os.environ["LOSSYLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
