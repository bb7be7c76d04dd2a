"""Fixtures: golden numbers, data sets where they are, small images where they are not."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

GOLDEN = pathlib.Path(__file__).parent / "golden"


def pytest_configure(config):
    """Gives each pytest process two virtual CPU devices, for the distribution tests."""
    del config
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


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
    from lossylab.data.decode import read_image

    return [read_image(path)[60:188, 80:240] for path in find_images("sample_test")]


@pytest.fixture(scope="session", autouse=True)
def environment():
    """Uses the packaged ffmpeg, whatever the user has set."""
    os.environ.pop("LOSSYLAB_FFMPEG", None)
