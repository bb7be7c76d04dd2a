"""importers.strict_pickle: pickles of all protocols as data, and hostile ones as errors."""

import collections
import io
import pickle
import struct
import time
import tracemalloc
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from lossylab.core.errors import UsageError
from lossylab.inference.importers import strict_pickle, stylegan_pickles, torch_files
from lossylab.inference.importers.strict_pickle import Global, Object

_ALLOWED = {("collections", "OrderedDict"), ("_codecs", "encode"), ("builtins", "complex")}


def _load(data, allowed=frozenset(_ALLOWED)):
    return strict_pickle.load(io.BytesIO(data), len(data), allowed, "tests")


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text()
)
_VALUES = st.recursive(
    _SCALARS | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(-9, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


@hypothesis.given(_VALUES, st.sampled_from([3, 4, 5]))
def test_plain_values_come_back_by_all_protocols(value, protocol):
    assert _load(pickle.dumps(value, protocol)) == value


@hypothesis.given(_VALUES, st.sampled_from([0, 1, 2]))
def test_plain_values_come_back_by_old_protocols(value, protocol):
    data = pickle.dumps(value, protocol)
    # Python writes empty bytes for these protocols by a call of `bytes`.
    hypothesis.assume(b"builtin" not in data)
    assert _load(data) == value


def test_what_would_be_called_is_held():
    value = collections.OrderedDict(a=1)
    held = _load(pickle.dumps(value, 4))
    assert isinstance(held, Object)
    assert held.kind == Global("collections", "OrderedDict")
    assert held.items == {"a": 1}
    held = _load(pickle.dumps(1 + 2j, 2).replace(b"__builtin__", b"builtins"))
    assert (held.kind.name, held.arguments, held.state) == ("complex", (1.0, 2.0), None)
    assert repr(held) == "builtins.complex(...)"


def test_byte_arrays_of_protocol_5_are_bytes():
    data = b"\x80\x05\x96" + struct.pack("<Q", 3) + b"abc."
    assert _load(data) == b"abc"


def _nested(opening, depth):
    return b"\x80\x02" + opening * depth


def _shared_list(depth):
    """Instructions for a list of the last list, twice, and so on: 2^depth items to who walks it."""
    value = []
    for _ in range(depth):
        value = [value, value]
    return pickle.dumps(value, 2)[2:-1]


_MB = 2**20
_MANY = 2**17  # deeper than any recursion gets
_HOSTILE = {
    "nested tuple as a key": (
        b"\x80\x02}" + b")" + b"\x85" * _MANY + b"K\x01s.",
        "a key in it",
    ),
    "shared lists as a key": (b"\x80\x02}" + _shared_list(60) + b"\x85K\x01s.", "a key in it"),
    "memo index": (b"\x80\x02Nr\xff\xff\xff\x7f0.", "takes what it has not made"),
    "long number": (b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\xff" * _MANY + b".", "too long"),
    "long text of a number": (b"I" + b"1" * 5000 + b"\n.", "too long"),
    "length beyond the end": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".", "ends too early"),
    "negative length": (b"T\xff\xff\xff\xffabc.", "ends too early"),
    "frame beyond the end": (b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.", "ends too early"),
    "no stop": (_nested(b"]", _MANY), "ends too early"),
    "pop of nothing": (b"0.", "takes what it has not made"),
    "mark missing": (b"t.", "not marked"),
    "unknown name": (b"cos\nsystem\n.", "it names os.system, which tests do not need"),
    "call of a list": (b"](tR.", "no function"),
    "state twice": (b"ccollections\nOrderedDict\n)R}b}b.", "changes something"),
    "state of a list": (b"]}b.", "changes something"),
    "state of a function": (b"ccollections\nOrderedDict\n}b.", "changes something"),
    "item of a number": (b"K\x01K\x01K\x01s.", "sets items"),
    "append to a tuple": (b")K\x01a.", "no list"),
    "extension": (b"\x80\x02\x82\x01.", "instruction"),
    "out-of-band buffer": (b"\x80\x05\x97.", "instruction"),
    "persistent line": (b"Pabc\n.", "persistent"),
    "encoding": (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "encodes something"),
    "newer protocol": (b"\x80\x09N.", "protocol 9"),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_pickles_are_refused_quickly_and_in_little_memory(name):
    data, message = _HOSTILE[name]
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(pickle.UnpicklingError, match=message):
            _load(data)
        assert tracemalloc.get_traced_memory()[1] < 80 * len(data) + _MB
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 30  # endless ones would take for ever


def test_an_array_under_many_names_is_refused(tmp_path):
    """Each would become an array of its own: gigabytes of a file of a megabyte."""
    array = np.zeros(2**18, "u1")
    data = pickle.dumps([(f"a{i}", array) for i in range(1500)], 4)
    head = pickle.dumps("x", 4)[:2]
    network = (
        b"cdnnlib.tflib.network\nNetwork\n)\x81}(X\x0f\x00\x00\x00build_func_nameX\x01\x00\x00\x00G"
        b"X\x0d\x00\x00\x00static_kwargs}X\x0a\x00\x00\x00components}X\x09\x00\x00\x00variables"
    )
    body = data[data.index(b"]") : -1]
    path = tmp_path / "a.pkl"
    path.write_bytes(head + b"NN" + network + body + b"ub\x87.")
    with pytest.raises(UsageError, match="arrays are larger than the file can hold"):
        stylegan_pickles.read(str(path))


def _torch(tensors, path, compression=zipfile.ZIP_STORED, data=bytes(64)):
    """A zip file of tensors, each (name, offset, sizes, strides) of one storage of 16 floats."""

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def numbers(values):
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    pickled = b"\x80\x02}("
    for name, offset, sizes, strides in tensors:
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        storage += b"K\x10tQ"
        pickled += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage
        pickled += b"J" + struct.pack("<i", offset) + numbers(sizes) + numbers(strides)
        pickled += b"\x89ccollections\nOrderedDict\n)RtR"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled + b"u.")
        archive.writestr("archive/data/0", data)
    return str(path)


def test_tensors_of_one_storage_are_views_of_it(tmp_path):
    data = np.arange(16, dtype=np.float32).tobytes()
    found = torch_files.read(
        _torch([("a", 0, (4, 4), (1, 4)), ("b", 3, (), ())], tmp_path / "a.pth", data=data)
    )
    np.testing.assert_array_equal(found["a"], np.arange(16).reshape(4, 4).T)
    assert found["b"] == 3.0


@pytest.mark.parametrize(
    ("tensors", "compression", "message"),
    [
        ([("a", 0, (46341, 46341), (0, 0))], zipfile.ZIP_STORED, "reaches outside its storage"),
        ([("a", 0, (17,), (1,))], zipfile.ZIP_STORED, "reaches outside its storage"),
        ([("a", -1, (2,), (1,))], zipfile.ZIP_STORED, "has no sizes"),
        ([("a", 0, (2,), (-1,))], zipfile.ZIP_STORED, "has no sizes"),
        ([("a", 0, (16,), (1,))], zipfile.ZIP_DEFLATED, "is compressed"),
    ],
)
def test_forged_tensors_are_refused(tensors, compression, message, tmp_path):
    path = _torch(tensors, tmp_path / "a.pth", compression)
    with pytest.raises(UsageError, match=message):
        torch_files.read(path)


def test_one_storage_under_many_names_is_refused(tmp_path):
    data = bytes(2**20)
    tensors = [(str(i), 0, (2**18,), (1,)) for i in range(50)]
    with pytest.raises(UsageError, match="its tensors are larger than the file"):
        torch_files.read(_torch(tensors, tmp_path / "a.pth", data=data))


def test_a_file_of_pytorch_is_named_where_a_network_is_expected(tmp_path):
    path = _torch([("a", 0, (16,), (1,))], tmp_path / "a.pkl")
    with pytest.raises(UsageError, match="it is a file of PyTorch's"):
        stylegan_pickles.read(path)


def _named(module, name="X"):
    return f"\x80\x02c{module}\n{name}\n)R.".encode("latin1")


def _zip(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}.")
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "as_network", "as_weights"),
    [
        (_named("torch_utils.persistence"), "StyleGAN2-ADA or StyleGAN3 for PyTorch", "StyleGAN's"),
        (_named("dnnlib.tflib.network", "Network"), "not \\(G, D, Gs\\)", "import stylegan"),
        (_named("torch.nn.modules", "Conv2d"), "a file of PyTorch's", "save its state_dict"),
        (_named("basicsr.archs", "RRDBNet"), "names basicsr.archs.RRDBNet", "a whole module"),
        (_named("keras.models"), "a model of Keras", "a whole module"),
        (_zip("a/data.pkl", "a/constants.pkl"), "a file of PyTorch's", "a TorchScript archive"),
        (_zip("arr_0.npy"), "a zip archive", "an archive of NumPy's"),
        (b'\x40\0\0\0\0\0\0\0{"a":', "damaged", "a file of safetensors"),
    ],
)
def test_files_of_other_kinds_are_named(data, as_network, as_weights, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=as_network):
        stylegan_pickles.read(str(path))
    with pytest.raises(UsageError, match=as_weights):
        torch_files.read(str(path))
