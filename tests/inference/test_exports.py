"""What all kinds of exports have in common."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.core.errors import ExportError, LossylabError
from lossylab.inference.export import base
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.distorter import Distorter
from lossylab.inference.export.rankiqa import Scorer
from lossylab.inference.export.restorer import Restorer
from lossylab.models.arcnn import ARCNN
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.models.rankiqa import RankIQA
from lossylab.models.unet import ResidualUNet


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    tf.random.set_seed(1)
    path = tmp_path_factory.mktemp("arcnn") / "export"
    Restorer.save(ARCNN(3), path, {"quality": 10, "train_data": "photos"}, steps=7)
    return path


def test_a_card_says_all_that_is_known(exported):
    network = lossylab.load(exported)
    assert type(network) is Restorer
    card = network.card
    assert (card["kind"], card["model"], card["options"]["quality"]) == ("restorer", "arcnn", 10)
    assert (card["steps"], card["data"], card["license"]) == (7, "photos", None)
    assert card["value_range"] == [0, 255]
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["weights"] == network.weights
    assert card["parameters"] == network.parameters > 0


@pytest.mark.parametrize("place", base._KINDS.values())
def test_kinds_are_told_by_the_signature_they_have_alone(place):
    module, name = place.split(":")
    kind = getattr(importlib.import_module(module), name)
    assert [mark for mark in base._KINDS if mark in kind.signatures] == [
        mark for mark, other in base._KINDS.items() if other == place
    ]


def _older(path):
    """An export as version 0.1.0 wrote it."""
    module = tf.Module()
    module.scale = tf.Variable(2, dtype=tf.uint8)
    picture = tf.TensorSpec((None, None, 1), tf.uint8, name="picture")
    card = (
        '{"channels": 1, "model": "arcnn", "multiple": 1, "options": {}, "parameters": 1, '
        '"reach": 9, "weights": "ab"}'
    )
    module.restore = tf.function(lambda picture: {"picture": picture * module.scale}, [picture])
    module.describe = tf.function(lambda: {"info": tf.constant(card)}, [])
    names = ("restore", "describe")
    functions = {name: getattr(module, name).get_concrete_function() for name in names}
    tf.saved_model.save(module, str(path), signatures=functions)
    return path


def test_older_exports_load_as_their_signatures_agree(tmp_path):
    network = lossylab.load(_older(tmp_path / "export"))
    image = np.arange(20, dtype=np.uint8).reshape(4, 5, 1)
    np.testing.assert_array_equal(network.apply(image), 2 * image)
    assert (network.quality, network.card["receptive_field_radius"]) == (None, 9)


@pytest.mark.parametrize("open_it", [lossylab.load, Restorer, base.fingerprint])
def test_errors_name_no_flags(open_it, exported, tmp_path):
    with pytest.raises(LossylabError) as caught:
        open_it("/nowhere")
    assert str(caught.value) == (
        "/nowhere: no such folder; expected an export, such as RUN_DIR/export"
    )
    with pytest.raises(ExportError, match=f"has no SavedModel; did you mean {exported}") as caught:
        open_it(str(exported.parent))
    assert "-" * 2 not in str(caught.value)


def test_other_saved_models_are_refused_with_their_signatures(tmp_path):
    module = tf.Module()
    module.run = tf.function(lambda: {"x": tf.constant(1)}, input_signature=[])
    path = str(tmp_path / "other")
    tf.saved_model.save(module, path, signatures={"x": module.run.get_concrete_function()})
    with pytest.raises(ExportError, match="no lossylab export, its signatures are x$"):
        lossylab.load(path)
    tf.saved_model.save(module, path, signatures={"restore": module.run, "describe": module.run})
    with pytest.raises(ExportError, match="its description is no lossylab export's"):
        lossylab.load(path)


@pytest.mark.parametrize(
    ("export", "make"),
    [
        (Restorer, lambda: ARCNN(1)),
        (Distorter, lambda: ResidualUNet(2)),
        (Degradation, lambda: ConditionalPixelCNN(4, 1, 2, condition_filters=4)),
        (Scorer, lambda: RankIQA(2, 8, 32, "random")),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_inputs_and_outputs_have_different_names(export, make):
    """Else a signature cannot be converted to ONNX."""
    for name, function in export.serve(make()).functions.items():
        concrete = function.get_concrete_function()
        inputs = {spec.name for spec in concrete.structured_input_signature[0]}
        assert inputs
        assert not inputs & set(concrete.structured_outputs), name
