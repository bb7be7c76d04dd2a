"""What all kinds of exports have in common."""

import importlib
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.commands import COMMANDS
from lossylab.core import command, export_folder, trust
from lossylab.core.errors import ExportError, LossylabError, UsageError
from lossylab.core.options import specs
from lossylab.inference.export import base
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.distorter import Distorter
from lossylab.inference.export.jpeg import Encoder
from lossylab.inference.export.rankiqa import Scorer
from lossylab.inference.export.restorer import Restorer
from lossylab.models.arcnn import ARCNN
from lossylab.models.bls2017 import BLS2017
from lossylab.models.jpeg_encoder import JPEGEncoder
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


_WRONG = {
    "a batch": np.zeros((2, 8, 8, 3), np.uint8),
    "gray": np.zeros((8, 8, 1), np.uint8),
    "no rows": np.zeros((0, 8, 3), np.uint8),
    "other type": np.zeros((8, 8, 3), np.float32),
    "one row": np.zeros((8, 3), np.uint8),
}


@pytest.mark.parametrize("image", _WRONG.values(), ids=_WRONG)
def test_inputs_of_other_shapes_are_refused(image, exported):
    """By what TensorFlow loads, too, which checks types only by itself."""
    network = lossylab.load(exported)
    with pytest.raises(LossylabError, match="^restore (expects image uint8|got an empty image)"):
        network._only("restore", image=image)
    function = tf.saved_model.load(str(exported)).signatures["restore"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        function(image=tf.constant(image))


def test_codecs_take_one_image(tmp_path):
    Codec.save(BLS2017(2), tmp_path / "export", {})
    functions = tf.saved_model.load(str(tmp_path / "export")).signatures
    image = np.zeros((20, 30, 3), np.uint8)
    string = functions["compress"](image=tf.constant(image))["string"]
    for name in ("compress", "reconstruct"):
        for wrong in (image[None].repeat(2, 0), image[..., :1], image[:0]):
            with pytest.raises(tf.errors.InvalidArgumentError):
                functions[name](image=tf.constant(wrong))
    numbers = [tf.constant(size) for size in (20, 30)]
    for size in ((0, 30), (20, -1), (2**30, 2**30), ([20, 1], 30)):
        height, width = map(tf.constant, size)
        with pytest.raises(tf.errors.InvalidArgumentError):
            functions["decompress"](string=string, height=height, width=width)
    found = functions["decompress"](string=string, height=numbers[0], width=numbers[1])
    assert found["reconstruction"].shape == image.shape


def test_jpeg_encoders_decode_what_fits_together(tmp_path):
    Encoder.save(JPEGEncoder(), tmp_path / "export", {})
    decode = tf.saved_model.load(str(tmp_path / "export")).signatures["decode"]
    right = {
        "coefficients": np.zeros((3, 2, 3, 8, 8), np.int16),
        "tables": np.ones((2, 8, 8), np.int32),
        "height": np.int32(16),
        "width": np.int32(17),
    }
    changes = {"tables": right["tables"] * 0, "height": np.int32(17), "width": np.int32(16)}
    assert decode(**{k: tf.constant(v) for k, v in right.items()})["image"].shape == (16, 17, 3)
    for name, value in changes.items():
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(**{k: tf.constant(v) for k, v in {**right, name: value}.items()})


def test_a_hash_holds_an_export_to_all_its_files(exported, tmp_path):
    known = export_folder.content_hash(exported)
    other = tmp_path / "export"
    shutil.copytree(exported, other)
    with trust.only([known.upper()]):
        assert lossylab.load(other).weights == lossylab.load(exported).weights
    for path in sorted(path for path in exported.rglob("*") if path.is_file()):
        file = other / path.relative_to(exported)
        file.write_bytes(path.read_bytes() + b"\0")
        with trust.only([known]), pytest.raises(ExportError, match="not the trusted one"):
            lossylab.load(other)
        file.write_bytes(path.read_bytes())
    (other / "more").write_text("more")
    with trust.only([known]), pytest.raises(ExportError, match="hash is [0-9a-f]{64}, not"):
        Restorer(other)
    Restorer(other)


def test_commands_load_exports_of_the_hash_they_are_given(exported, tmp_path, capsys):
    cli.main(["describe", str(exported)])
    found = json.loads(capsys.readouterr().out)
    assert found["hash"] == export_folder.content_hash(exported)
    assert found["kind"] == "restorer"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    words = ["restore", *(str(tmp_path / name) for name in ("a.png", "b.png"))]
    words.append(f"--model={exported}")
    with pytest.raises(ExportError, match="^--model: .*not the trusted one.*--trusted_hash"):
        cli.main([*words, f"--trusted_hash={'0' * 64}"])
    assert not (tmp_path / "b.png").exists()
    cli.main([*words, f"--trusted_hash={found['hash']}"])
    assert (tmp_path / "b.png").exists()
    with pytest.raises(UsageError, match="--trusted_hash takes SHA-256 in 64 hexadecimal"):
        cli.main([*words, "--trusted_hash=abc"])


def test_every_command_that_loads_exports_takes_their_hash():
    flags = {"model", "models", "degradation_model", "rankiqa"}
    for words, known in COMMANDS.items():
        options = command.resolve(known.options)
        if not words.startswith("train") and flags & set(specs(options)):
            assert issubclass(options, trust.TrustOptions), words


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
        "/nowhere: no such folder; expected an export, such as RUN_DIR/export, or a name that "
        "`lossylab models` lists"
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
