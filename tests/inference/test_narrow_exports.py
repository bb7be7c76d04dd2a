"""Exports in bfloat16: near to float32, refused where not, told apart from exports in float32."""

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.core.errors import ExportError
from lossylab.data.jpeg import degrade
from lossylab.inference.export.base import fingerprint
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.distorter import Distorter
from lossylab.inference.export.jpeg import Encoder
from lossylab.inference.export.restorer import Restorer
from lossylab.models.backbones.block_features import BACKBONES
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers import precision
from lossylab.models.layers.attention import ConvAttention
from lossylab.models.unet import ResidualUNet
from lossylab.models.wcdgan import WCDGAN
from lossylab.train import wcdgan
from lossylab.train.wcdgan import WcdganOptions


def _types(signature):
    """What the convolutions of a signature, and of the functions that it calls, compute in."""
    graph = signature.graph
    inner = [op for f in graph._functions.values() for op in f.graph.get_operations()]
    ops = [*graph.get_operations(), *inner]
    return {op.inputs[-1].dtype for op in ops if op.type.startswith("Conv2D")}


def _attention():
    return ConvAttention(BACKBONES["resnet152_block1"](weights="random"), 0.01, 4.0)


@pytest.mark.parametrize(
    ("kind", "make", "names"),
    [
        (Restorer, lambda: WCDGAN(3, 8, 2), ("restore", "enter", "next", "leave")),
        pytest.param(
            Encoder,
            lambda: JPEGEncoder(_attention()),
            ("encode",),
            marks=pytest.mark.long,
        ),
    ],
    ids=("restorer", "jpeg_encoder"),
)
def test_a_narrow_export_says_so_and_is_near(kind, make, names, images, tmp_path):
    network = make()
    exports = []
    for name in ("float32", "bfloat16"):
        kind.save(network, tmp_path / name, {}, name)
        exports.append(kind(tmp_path / name))
    exact, narrow = exports
    assert exact.weights == exact.identity == narrow.weights != narrow.identity
    assert fingerprint(exact.path) != fingerprint(narrow.path)
    assert narrow.precision == narrow.card["precision"] == "bfloat16"
    assert 0 <= narrow.card["precision_difference"] <= 0.5
    for name in names:
        assert _types(narrow._functions[name]) == {tf.bfloat16}
        assert _types(exact._functions[name]) == {tf.float32}
    if kind is Restorer:
        image = degrade(images[0], 10)
        change = np.abs(exact.apply(image).astype(float) - narrow.apply(image))
        assert 0 < change.mean() < 1
    assert tf.keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.long
def test_only_the_encoder_of_a_codec_is_narrow(images, tmp_path):
    Codec.save(BMSHJ2018(4), tmp_path / "export", {}, "bfloat16")
    narrow = Codec(tmp_path / "export")
    assert tf.bfloat16 in _types(narrow._functions["compress"])
    # The exact hyper-synthesis is in float64.
    assert _types(narrow._functions["decompress"]) == {tf.float32, tf.float64}
    decoded = narrow.decompress(narrow.compress(images[0]))
    assert np.array_equal(decoded, narrow.reconstruct(images[0])[0])


def test_what_bfloat16_shows_in_is_refused(tmp_path):
    def network(image):  # far from 0, where bfloat16 has steps of 4
        return precision.conv2d(image + 1e3, tf.ones((1, 1, 1, 1)), 1, "SAME") - 1e3

    network.channels = 1
    with pytest.raises(ExportError, match=r"bfloat16 changes images by .* more than 0\.5: export"):
        Restorer.save(network, tmp_path / "export", {}, "bfloat16")
    with pytest.raises(ExportError, match="exports of kind distorter compute in float32"):
        Distorter.save(ResidualUNet(2), tmp_path / "export", {}, "bfloat16")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_finished_training_is_exported_again(tmp_path):
    options = WcdganOptions(
        run_dir=str(tmp_path), train_data="sample_train", model="arcnn", batch=2, patch=32, steps=1
    )
    wcdgan.train(options)
    assert lossylab.load(tmp_path / "export").precision == "float32"
    wcdgan.train(options.replace(export_precision="bfloat16"))
    assert lossylab.load(tmp_path / "export").precision == "bfloat16"
