"""Thousands of damaged and forged files: each ends in its one error or an image, soon, in memory.

python -m pytest -m long -s tests/campaign/test_containers.py
"""

import collections
import faulthandler
import io
import os
import pickle
import resource
import struct
import sys
import time
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from lossylab.core.errors import BitstreamError, CodecError, UsageError
from lossylab.eval.rd import CLASSICAL
from lossylab.inference.codecs.base import EncodedFile
from lossylab.inference.export import container
from lossylab.inference.export.codec import Codec, Encoded
from lossylab.inference.importers import stylegan_files, stylegan_pickles, torch_files
from lossylab.models import stylegan
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018

pytestmark = pytest.mark.long

_CODECS = {"bls2017": (BLS2017, 4800), "bmshj2018": (BMSHJ2018, 4800)}
_CLASSICAL = {"jpeg": 600, "jpeg_optimized": 100, "jpeg2000": 600, "hevc444": 50, "hevc420": 50}
_ARCHIVES = 300
_SECONDS = 1.0  # of the processor, for one case
_BYTES = 2**30  # of memory, for all
_HANG = 120  # seconds by the clock, after which the whole process ends


@pytest.fixture
def limits(capsys):
    """Runs a case within its limits, counts how it ended, and prints the counts at the end."""
    counts, slowest = collections.Counter(), 0.0
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def run(name, work, errors):
        nonlocal slowest
        faulthandler.dump_traceback_later(_HANG, exit=True, file=sys.__stderr__)
        start = time.process_time()
        try:
            ended = work()
        except errors as error:
            ended = f"{type(error).__name__}"
        finally:
            faulthandler.cancel_dump_traceback_later()
        seconds = time.process_time() - start
        assert seconds < _SECONDS, (name, seconds)
        slowest = max(slowest, seconds)
        counts[name, ended] += 1

    yield run
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun)
    with capsys.disabled():
        for (name, ended), count in sorted(counts.items()):
            sys.stdout.write(f"\n{name:32} {ended:26} {count:6}")
        sys.stdout.write(f"\nslowest {slowest:.3f} s, {grown / 2**20:.0f} MiB of memory more\n")
    assert grown < _BYTES


def _damaged(data, random):
    """Bytes with one kind of damage."""
    data = bytearray(data)
    kind = random.integers(8)
    start, stop = sorted(random.integers(0, len(data) + 1, 2))
    if kind == 0:
        for _ in range(random.integers(1, 9)):
            if data:
                data[random.integers(len(data))] ^= 1 << random.integers(8)
    elif kind == 1:
        data = data[:start]
    elif kind == 2:
        data += random.bytes(random.integers(1, 400))
    elif kind == 3:
        data[start:stop] = bytes([random.choice((0, 0xFF, 0x80, 0x7F))]) * (stop - start)
    elif kind == 4:
        data[start:stop] = b""
    elif kind == 5:
        data[start:start] = data[start:stop]
    elif kind == 6:
        data[start:stop] = random.bytes(stop - start)
    else:
        data = bytearray(random.bytes(len(data)) if random.integers(2) else b"")
        data += bytes([random.choice((0, 0xFF))]) * random.integers(0, 600)
    return bytes(data)


def _sizes(height, width, random):
    """A size that a forged file may declare."""
    whims = (
        (height, width),
        (width, height),
        tuple(random.integers(1, 200, 2)),
        tuple(2 ** random.integers(0, 14, 2)),
        tuple(random.integers(-5, 5, 2)),
        tuple(2 ** random.integers(0, 62, 2)),
    )
    return [int(side) for side in whims[min(random.integers(12), len(whims) - 1)]]


@pytest.fixture(scope="module", params=_CODECS)
def learned(request, tmp_path_factory):
    """A small codec, how often to try it, and coded images."""
    model, count = _CODECS[request.param]
    tf.random.set_seed(4)
    network = model(4)
    last = network.analysis_transform.layers[-1].kernel.coefficients
    last.assign(last * 30)
    path = tmp_path_factory.mktemp(request.param) / "export"
    Codec.save(network, path, {})
    codec = Codec(path)
    random = np.random.default_rng(5)
    images = [
        random.integers(0, 256, (*size, 3), np.uint8) for size in ((40, 50), (1, 1), (16, 96))
    ]
    return codec, count, [codec.compress(image) for image in images]


def test_compressed_files(learned, limits):
    codec, count, coded = learned
    random = np.random.default_rng(6)
    exact = [codec.decompress(encoded) for encoded in coded]

    def decode(data, expected, size):
        image = container.decompress(codec, data)
        if expected is not None:
            np.testing.assert_array_equal(image, expected)
            return "the exact image"
        assert image.shape == (*size, 3)
        np.testing.assert_array_equal(image, container.decompress(codec, data))
        return "the image of its string"

    for case in range(count):
        encoded, image = (each[case % len(coded)] for each in (coded, exact))
        right = container.pack(encoded, codec.model, codec.weights)
        size = [encoded.height, encoded.width]
        if case % 20 == 0:
            name, data, expected = "whole", right, image
        elif case % 2:
            name, data = "damaged", _damaged(right, random)
            expected = image if data == right else None
        else:
            name, expected = "forged, right checksum", None
            string = encoded.string if random.integers(4) == 0 else _damaged(encoded.string, random)
            size = _sizes(*size, random)
            weights = codec.weights if random.integers(20) else "00" * 32
            model = codec.model if random.integers(20) else "other"
            data = container.pack(Encoded(string, *size), model, weights)
        limits(
            f"{codec.model} {name}",
            lambda data=data, expected=expected, size=size: decode(data, expected, size),
            BitstreamError,
        )


@pytest.mark.parametrize("name", _CLASSICAL)
def test_files_of_classical_codecs(name, limits):
    """Their formats have no checksums: what counts is that nothing else happens."""
    codec, random = CLASSICAL[name](), np.random.default_rng(7)
    image = np.random.default_rng(8).integers(0, 256, (64, 64, 3), np.uint8)
    setting = codec.settings[len(codec.settings) // 2]
    file = codec.encode(image, setting)

    def decode(data):
        found = codec.decode(EncodedFile(data, 64, 64), setting)
        assert found.dtype == np.uint8
        return "an image"

    for _ in range(_CLASSICAL[name]):
        data = _damaged(file.data, random)
        limits(name, lambda data=data: decode(data), CodecError)


def test_files_of_generators(limits, tmp_path):
    sizes = dict.fromkeys(("latent", "mapping", "width", "fmap_max"), 8)
    path = tmp_path / "a.npz"
    stylegan_files.save(stylegan.random(2, 8, 1, **sizes), str(path))
    right, random = path.read_bytes(), np.random.default_rng(9)

    def load(data):
        path.write_bytes(data)
        stylegan_files.load(str(path))
        return "the exact generator" if data == right else "a generator"

    for case in range(_ARCHIVES):
        data = right if case % 20 == 0 else _damaged(right, random)
        limits("generator", lambda data=data: load(data), UsageError)


class _Call:
    """Pickles to the call of a function."""

    def __init__(self, function, *arguments):
        self._reduced = function, arguments

    def __reduce__(self):
        return self._reduced


def _deep(opening, closing=b"", depth=2**16):
    return b"\x80\x02" + opening * depth + closing + b"."


def _doubled(depth=60):
    value = []
    for _ in range(depth):
        value = [value, value]
    return pickle.dumps(value, 2)[:-1]


def _archive(data, compression=zipfile.ZIP_STORED, **members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        archive.writestr("a/data.pkl", data)
        for name, each in members.items():
            archive.writestr(f"a/data/{name}", each)
    return held.getvalue()


def _text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def _tensor(sizes, strides, offset=b"K\x00", key=b"0", kind=b"FloatStorage"):
    storage = b"(" + _text(b"storage") + b"ctorch\n" + kind + b"\n" + _text(key) + _text(b"cpu")
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x10tQ" + offset + sizes + strides
    )
    return b"\x80\x02}" + _text(b"a") + tensor + b"\x89ccollections\nOrderedDict\n)RtRs."


def _hostile(marker):
    """Pickles that would do something, crash, or take time or memory."""
    shell, network = f"touch {marker}", b"cdnnlib.tflib.network\nNetwork\n)\x81"
    huge = b"J\xff\xff\xff\x7f"
    return {
        "system": pickle.dumps(_Call(os.system, shell)),
        "system of protocol 0": pickle.dumps(_Call(os.system, shell), 0),
        "eval": pickle.dumps(_Call(eval, f"open({str(marker)!r}, 'w')")),
        "instance": f"(S'{shell}'\nios\nsystem\n.".encode(),
        "attribute of an array": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "deep lists": _deep(b"]"),
        "deep tuples": _deep(b")", b"\x85" * 2**16),
        "deep tuple as a key": b"\x80\x02})" + b"\x85" * 2**16 + b"K\x01s.",
        "deep marks": _deep(b"("),
        "doubled lists": _doubled() + b".",
        "doubled lists as a key": b"\x80\x02}" + _doubled()[2:] + b"\x85K\x01s.",
        "doubled lists as a network": _doubled() + b"0N" + network + _doubled()[2:] + b"b\x86.",
        "memo far away": b"\x80\x04Nr\xff\xff\xff\x7f.",
        "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        "byte array that is not there": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",
        "frame that is not there": b"\x80\x04\x95" + struct.pack("<Q", 2**50) + b"N.",
        "number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
        "long number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "line without an end": b"V" + b"a" * 10**6,
        "changed function": b"ctorch._utils\n_rebuild_tensor\n}" + _text(b"__defaults__") + b"Nsb.",
        "changed class": b"cnumpy\nndarray\n}b.",
        "state of itself": network + b"q\x00h\x00b.",
        "dictionary of itself": b"\x80\x02}q\x00" + _text(b"a") + b"h\x00s.",
        "list of itself as three networks": b"\x80\x02]q\x00h\x00h\x00\x87.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pabc\n.",
        "tensor of strides 0": _archive(
            _tensor(b"(" + huge * 2 + b"t", b"(K\x00K\x00t"), **{"0": b"\0" * 64}
        ),
        "tensor of negative sizes": _archive(
            _tensor(b"(J\xff\xff\xff\xfft", b"(K\x01t"), **{"0": b"\0" * 64}
        ),
        "tensor without storage": _archive(
            _tensor(b"(K\x01t", b"(K\x01t", key=b"../../etc/passwd")
        ),
        "tensor of other numbers": _archive(_tensor(b"(K\x01t", b"(K\x01t", kind=b"nn")),
        "compressed": _archive(b"\0" * 2**24, zipfile.ZIP_DEFLATED),
        "archive in an archive": _archive(_archive(b"\x80\x02}.")),
        "nothing": b"",
    }


def test_hostile_pickles(limits, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "a.pkl"
    hostile = _hostile(marker)
    assert len(hostile) >= 30
    random = np.random.default_rng(10)
    for name, data in hostile.items():
        for variant in range(4):
            path.write_bytes(data if variant == 0 else _damaged(data, random))
            for read in (stylegan_pickles.read, torch_files.read):

                def attempt(read=read):
                    read(str(path))
                    return "read"

                limits(f"pickle, {'as it is' if not variant else 'damaged'}", attempt, UsageError)
        assert not marker.exists(), name
