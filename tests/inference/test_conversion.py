"""inference.conversion and `lossylab export`: other runtimes compute what exports do."""

import functools
import importlib.util
import json
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from lengths import long_but

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import ExportError, UsageError
from lossylab.inference.conversion import files, onnx_files
from lossylab.inference.export.base import Export, class_of
from lossylab.models import stylegan
from lossylab.models.arcnn import ARCNN
from lossylab.models.backbones.block_features import VGG19Backbone
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.dncnn import DnCNN
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers.attention import ConvAttention, LSTMAttention
from lossylab.models.layers.factorized import quantization_offset
from lossylab.models.memnet import MemNet
from lossylab.models.mwcnn import MWCNN
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.models.rankiqa import RankIQA
from lossylab.models.tnrd import TNRD
from lossylab.models.unet import ResidualUNet
from lossylab.models.wcdgan import WCDGAN

SIZES = ((1, 1), (7, 13), (64, 48))
_PATCH = 32
_WIDTHS = {"latent": 6, "mapping": 5, "width": 4, "depth": 2}

# One network of every kind and of every architecture that a kind has.
NETWORKS = {
    "bls2017": ("codec", lambda: BLS2017(4)),
    "bmshj2018": ("codec", lambda: BMSHJ2018(4, 6)),
    "arcnn": ("restorer", lambda: ARCNN(1)),
    "tnrd": ("restorer", lambda: TNRD(1, np.full((8, 8), 40))),
    "dncnn": ("restorer", lambda: DnCNN(3, layers=5, filters=8)),
    "memnet": ("restorer", lambda: MemNet(3, filters=8, blocks=2, recursions=2)),
    "mwcnn": ("restorer", lambda: MWCNN(3, filters=4)),
    "wcdgan": ("restorer", lambda: WCDGAN(3, filters=8, blocks=2)),
    "unet": ("distorter", lambda: ResidualUNet(2)),
    "unet_noise": ("distorter", lambda: ResidualUNet(2, noise_channels=2)),
    "jpeg_tables": ("jpeg_encoder", lambda: JPEGEncoder(None)),
    "jpeg_conv": (
        "jpeg_encoder",
        lambda: JPEGEncoder(ConvAttention(VGG19Backbone("random"))),
    ),
    "jpeg_lstm": ("jpeg_encoder", lambda: JPEGEncoder(LSTMAttention(None, both_ways=True))),
    "rankiqa": ("scorer", lambda: RankIQA(4, 8, _PATCH, "random")),
    "pixelcnn": (
        "degradation",
        lambda: ConditionalPixelCNN(4, 2, 2, condition_filters=4),
    ),
    "stylegan1": ("generator", lambda: stylegan.random(1, 16, 1, 32, 8, **_WIDTHS)),
    "stylegan2": ("generator", lambda: stylegan.random(2, 16, 1, 32, 8, **_WIDTHS)),
}
NOT_IN_TFLITE = {"jpeg_lstm": "encode .* no BlockLSTM", "pixelcnn": "nll .* no StridedSlice"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folders of exports, each made when it is asked for first."""
    folder = tmp_path_factory.mktemp("exports")

    @functools.cache
    def make(name) -> pathlib.Path:
        kind, build = NETWORKS[name]
        tf.random.set_seed(1)
        class_of(kind).save(build(), folder / name, {"quality": 10})
        return folder / name

    return make


@pytest.fixture
def runtime():
    """onnxruntime, or a skip that says what is missing."""
    for package in ("tf2onnx", "onnx"):
        pytest.importorskip(package, reason=f"{package} of the extra 'onnx' is not installed")
    return pytest.importorskip("onnxruntime")


def _functions_of(folder, kind, runtime=None):
    """The converted functions of a folder by name: from inputs to outputs by name."""

    def by_onnx(path):
        session = runtime.InferenceSession(str(path))
        names = [each.name for each in session.get_outputs()]

        def run(**inputs):
            given = {each.name for each in session.get_inputs()}
            assert given == set(inputs)
            return dict(zip(names, session.run(names, inputs)))

        return run

    def by_tflite(path):
        return tf.lite.Interpreter(str(path)).get_signature_runner(path.stem)

    load = by_onnx if kind == "onnx" else by_tflite
    return {path.stem: load(path) for path in pathlib.Path(folder).glob(f"*.{kind}")}


def _expected(export: Export):
    """Functions as the converted ones, by the export's signatures or its network."""
    if export.kind != "codec":
        return lambda name, **inputs: export._call(name, **inputs)
    network = export.network()
    offset = 0.0
    if not hasattr(network, "hyper_analysis"):
        offset = quantization_offset(network.prior)

    def call(name, **inputs):
        if name == "analysis":
            latent = network.analysis(tf.cast(inputs["image"][None], tf.float32))[0]
            return {"latent": latent, "quantized_latent": tf.round(latent - offset) + offset}
        if name == "hyper_analysis":
            return {"hyper_latent": network.hyper_analysis(inputs["latent"][None])[0]}
        image = network.synthesis(inputs["quantized_latent"][None])[0]
        image = tf.clip_by_value(tf.round(image), 0.0, 255.0)
        return {"reconstruction": image[: inputs["height"], : inputs["width"]]}

    return call


def _inputs(export, name, size, random):
    """What a function is fed for an image of this size."""
    height, width = size
    image = random.integers(0, 256, (height, width, getattr(export, "channels", 3)), np.uint8)
    scalars = {"height": np.array(height, np.int32), "width": np.array(width, np.int32)}
    rows, columns = -(-height // 16), -(-width // 16)
    latent = random.normal(0, 3, (rows, columns, export.card.get("latent_filters", 1)))
    blocks = (3, -(-height // 8), -(-width // 8), 8, 8)
    noise = random.standard_normal((height, width, getattr(export, "noise_channels", 0)))
    pair = random.integers(0, 256, (2, 2, height, width, 3)).astype(np.float32)
    latents = random.standard_normal((height, getattr(export, "latent", 1))).astype(np.float32)
    return {
        "generate": {"latents": latents, "psi": np.array(0.8, np.float32)},
        "distort": {"image": image, **({"noise": noise.astype(np.float32)} if noise.size else {})},
        "decode": {
            "coefficients": random.integers(-5, 6, blocks).astype(np.int16),
            "tables": random.integers(1, 60, (2, 8, 8)).astype(np.int32),
            **scalars,
        },
        "score": {"crops": random.integers(0, 256, (height, _PATCH, _PATCH, 3), np.uint8)},
        "nll": dict(zip(("degraded", "condition"), pair)),
        "hyper_analysis": {"latent": latent.astype(np.float32)},
        "synthesis": {"quantized_latent": np.round(latent).astype(np.float32), **scalars},
    }.get(name, {"image": image})


def _check(folder, export, kind, random, runtime=None):
    """Every function at every size: whole numbers within one, others to five digits."""
    functions = _functions_of(folder, kind, runtime)
    expected = _expected(export)
    for name, function in functions.items():
        for size in SIZES:
            inputs = _inputs(export, name, size, random)
            found = function(**inputs)
            wanted = expected(name, **inputs)
            assert found.keys() == wanted.keys()
            for key, value in found.items():
                value, right = np.asarray(value, np.float64), np.asarray(wanted[key], np.float64)
                assert value.shape == right.shape, (name, key, size)
                if np.asarray(found[key]).dtype == np.float32 and key != "quantized_latent":
                    np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-4)
                    continue
                np.testing.assert_allclose(value, right, rtol=0, atol=1.0001)
                assert np.mean(np.abs(value - right) < 0.5) > 0.97, (name, key, size)
    return functions


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_is_within_one_level_of_the_export(name, exported, runtime, random, tmp_path):
    path = exported(name)
    cli.main(["export", str(path), "--format=onnx", f"--out={tmp_path}"])
    export = lossylab.load(path)
    functions = _check(tmp_path, export, "onnx", random, runtime)
    assert functions
    card = json.loads((tmp_path / files.CARD).read_text())
    assert card["weights"] == export.weights
    for each in functions:
        model = runtime.InferenceSession(str(tmp_path / f"{each}.onnx")).get_modelmeta()
        assert json.loads(model.custom_metadata_map["lossylab"]) == card


@pytest.mark.parametrize("name", long_but(["wcdgan"], sorted(NETWORKS.keys() - NOT_IN_TFLITE)))
def test_tensorflow_lite_is_within_one_level_of_the_export(name, exported, random, tmp_path):
    cli.main(["export", str(exported(name)), "--format=tflite", f"--out={tmp_path}"])
    assert _check(tmp_path, lossylab.load(exported(name)), "tflite", random)


@pytest.mark.parametrize("name", NOT_IN_TFLITE)
def test_what_tensorflow_lite_lacks_is_said_and_nothing_is_written(name, exported, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ExportError, match=NOT_IN_TFLITE[name]):
        cli.main(["export", str(exported(name)), "--format=tflite", f"--out={out}"])
    assert not out.exists()


@pytest.mark.long
def test_transforms_of_a_named_codec_make_what_its_export_decodes(images, tmp_path, caplog):
    """End to end, but for samples that rounding takes to the other side."""
    (name, *_) = [name for name in lossylab_codecs() if "bls" in name]
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["export", name, "--format=tflite", f"--out={tmp_path}"])
    assert "the range coder" in caplog.text
    functions = _functions_of(tmp_path, "tflite")
    height, width = images[0].shape[:2]
    latent = functions["analysis"](image=images[0])["quantized_latent"]
    size = {"height": np.int32(height), "width": np.int32(width)}
    decoded = functions["synthesis"](quantized_latent=latent, **size)["reconstruction"]
    expected = lossylab.load(name).reconstruct(images[0])[0]
    assert np.mean(np.abs(decoded.astype(int) - expected) <= 1) > 0.999
    assert json.loads((tmp_path / files.CARD).read_text())["name"] == name


def lossylab_codecs():
    """Names of the codecs that come with the package."""
    from lossylab.inference.export import zoo

    return [name for name in zoo.names() if zoo.card(name)["kind"] == "codec"]


@pytest.mark.parametrize("size", [(2, 3), (5, 8)])
def test_up_sampling_without_transposed_convolutions_is_the_same(size, random):
    from lossylab.models.layers import conv

    codec = BLS2017(4)
    latent = tf.constant(random.normal(0, 3, (1, *size, 4)), tf.float32)
    with conv.only_plain():
        plain = codec.synthesis(latent)
        graph = tf.function(codec.synthesis).get_concrete_function(latent).graph
    np.testing.assert_allclose(plain, codec.synthesis(latent), rtol=1e-4, atol=1e-2)
    assert "Conv2DBackpropInput" not in {operation.type for operation in graph.get_operations()}


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch, exported, tmp_path):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UsageError, match=r"ONNX needs tf2onnx: pip install onnx==.* tf2onnx=="):
        cli.main(["export", str(exported("arcnn")), f"--out={tmp_path / 'out'}"])
    with pytest.raises(UsageError, match="folder has no SavedModel"):
        cli.main(["export", str(tmp_path), f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_an_operation_that_onnx_lacks_is_named(runtime):
    spec = tf.TensorSpec((None,), tf.float32, name="x")
    function = tf.function(lambda x: {"y": tf.math.bessel_i0e(x)}, input_signature=[spec])
    with pytest.raises(ExportError, match="cannot be converted: .*BesselI0e"):
        onnx_files.convert(function, "f", {})


def test_formats_are_those_of_the_command():
    from lossylab.cli.options.exports import ConvertOptions
    from lossylab.core.options import specs

    assert set(specs(ConvertOptions)["format"].choices) == set(files.FORMATS)
    assert importlib.util.find_spec("tensorflow.lite")
