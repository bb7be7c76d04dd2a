"""Data workers: TensorFlow decodes what Pillow does, and two workers give what one process does."""

import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import run_files
import tensorflow as tf
from PIL import Image, ImageCms

from lossylab.cli import __main__ as cli
from lossylab.core.errors import CollectionError, UsageError
from lossylab.data.decode import read_image
from lossylab.data.patches import PatchOptions, random_patches
from lossylab.data.schedule import Schedule
from lossylab.data.served import read, require_equal
from lossylab.train.loop.data_worker import start
from lossylab.train.options.data_worker import DataWorkerOptions


def _free_pair():
    """A port whose next one is free, too."""
    while True:
        with socket.create_server(("", 0)) as one:
            port = one.getsockname()[1]
            try:
                socket.create_server(("", port + 1)).close()
            except (OSError, OverflowError):
                continue
        return port


@pytest.fixture(scope="module")
def services():
    """Addresses of two data workers, each a process."""
    ports = [_free_pair() for _ in range(2)]
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "lossylab", "data_worker", f"--port={port}"],
            stderr=subprocess.DEVNULL,
        )
        for port in ports
    ]
    try:
        for port, child in zip(ports, children):
            for _ in range(600):
                assert child.poll() is None
                try:
                    socket.create_connection(("localhost", port + 1)).close()
                    break
                except OSError:
                    time.sleep(0.1)
        yield [f"grpc://localhost:{port}" for port in ports]
        for child in children:
            child.send_signal(signal.SIGTERM)
            assert child.wait(10) == 128 + signal.SIGTERM
    finally:
        for child in children:
            child.kill()


_SAVED = {
    "color.png": ("RGB", {}),
    "gray.png": ("L", {}),
    "palette.png": ("P", {}),
    "two_colors.png": ("1", {}),
    "half.jpg": ("RGB", {"quality": 90, "subsampling": 2}),
    "wide.jpg": ("RGB", {"quality": 40, "subsampling": 1}),
    "full.jpg": ("RGB", {"quality": 75, "subsampling": 0}),
    "gray.jpg": ("L", {"quality": 75}),
    "progressive.jpg": ("RGB", {"quality": 60, "progressive": True}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    """Files of all kinds that workers read, of odd sizes."""
    place = tmp_path_factory.mktemp("served")
    for index, (name, (mode, options)) in enumerate(_SAVED.items()):
        image = Image.fromarray(images[index % 3][: 101 + index, : 131 - index])
        image.convert(mode).save(place / name, **options)
    return place


@pytest.mark.parametrize("name", _SAVED)
def test_tensorflow_decodes_as_pillow_does(name, folder):
    path = str(folder / name)
    np.testing.assert_array_equal(read(tf.constant(path)), read_image(path))
    require_equal([path])


def _turned(path, image):
    exif = Image.Exif()
    exif[274] = 6
    image.save(path, exif=exif)


def _profiled(path, image):
    """By a profile that exchanges red and blue."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    image.save(path, icc_profile=swapped)


def _clear(path, image):
    image = image.convert("RGBA")
    image.putalpha(100)
    image.save(path)


def _deep(path, image):
    """Gray of 16 bits, whose high bytes differ from 1/257 of them."""
    values = np.linspace(0, 65535, image.width * image.height, dtype=np.uint16)
    Image.fromarray(values.reshape(image.height, image.width)).save(path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("turned.jpg", _turned),
        ("profile.png", _profiled),
        ("clear.png", _clear),
        ("deep.png", _deep),
        ("image.bmp", lambda path, image: image.save(path)),
        ("image.webp", lambda path, image: image.save(path, lossless=True)),
    ],
)
def test_files_that_are_decoded_otherwise_are_named(name, save, folder, tmp_path, images):
    save(tmp_path / name, Image.fromarray(images[0]))
    paths = [str(folder / "color.png"), str(tmp_path / name)]
    read_image(paths[1])  # here it can be read
    with pytest.raises(CollectionError, match=f"cannot read 1 of 2 images .*{name}"):
        require_equal(paths)


@pytest.mark.parametrize(
    "options",
    [PatchOptions(32), PatchOptions(32, min_scale=0.5, noise=6.0)],
    ids=["crops", "scaled"],
)
def test_two_workers_make_what_one_process_makes(options, services, folder):
    """From any step on, for any device: a function of seed and step."""
    paths = sorted(map(str, folder.iterdir()))
    for where in ({}, {"first_step": 3}, {"shard": 1, "shards": 2, "replicas": 2}):
        schedule = Schedule(8, 5, **where)
        here = list(random_patches(paths, options, schedule).take(12))
        there = list(random_patches(paths, options, schedule, services).take(12))
        assert there[0].shape == here[0].shape
        for one, other in zip(here, there, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_training_is_the_same_with_workers_and_without(services, folder, tmp_path):
    flags = [f"--train_data={folder}", "--attention=none", "--patch=32", "--batch=2", "--noexport"]
    flags += ["--ms_ssim_weight=0", "--lpips_weight=0", "--log_every=1", "--summary_every=0"]

    def train(name, steps, *more):
        run = f"--run_dir={tmp_path / name}"
        cli.main(["train", "jpeg_encoder", *flags, run, f"--steps={steps}", *more])

    train("here", 4)
    service = f"--data_service={','.join(services)}"
    train("there", 2, service)
    train("there", 3)
    train("there", 4, service)
    run_files.assert_equal(tmp_path / "here", tmp_path / "there")
    assert run_files.rows(tmp_path / "here") == run_files.rows(tmp_path / "there")


def test_workers_without_an_answer_are_named(folder, tmp_path):
    port = _free_pair()

    def train(stem, address):
        flags = [f"--train_data={folder}", f"--run_dir={tmp_path}", "--patch=32", "--batch=2"]
        cli.main(["train", stem, *flags, f"--data_service={address}"])

    with pytest.raises(
        UsageError, match=f"answers at localhost:{port} .*data_worker --port={port}"
    ):
        train("proxiqa", f"grpc://localhost:{port}")
    with pytest.raises(UsageError, match="--data_service: nowhere is no address such as grpc://"):
        train("proxiqa", "nowhere")
    with pytest.raises(UsageError, match="--data_service: this training's images are distorted"):
        train("distortion_gan", f"grpc://localhost:{port}")


def test_a_port_in_use_is_refused():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"`port`: {port} cannot be used"):
            start(DataWorkerOptions(port=port))
