"""models.jpeg, attention, backbones, jpeg_encoder and their losses, against Pillow and Keras."""

import io

import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications import resnet
from PIL import Image

from lossylab.core.errors import BackboneError
from lossylab.data.decode import read_image
from lossylab.data.jpeg import chrominance_table, luminance_table
from lossylab.inference.codecs import jpeg_decoders, jpeg_files
from lossylab.losses import jpeg_encoder as losses
from lossylab.losses.lpips import LPIPS
from lossylab.models.backbones.block_features import (
    ResNet152Backbone,
    VGG16Backbone,
    VGG19Backbone,
)
from lossylab.models.backbones.lpips import NETWORKS, LPIPSFeatures, array_shapes
from lossylab.models.jpeg_encoder import TABLE_SCALE, JPEGEncoder
from lossylab.models.layers import dct as jpeg
from lossylab.models.layers.attention import LSTM, ConvAttention, LSTMAttention


def _tables(quality):
    return np.stack([luminance_table(quality), chrominance_table(quality)])


def _pillow(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def _batch(image):
    return tf.constant(image[None], tf.float32)


def _against_pillow(image, quality):
    """Share of coefficients that differ, by how much at most, and levels between the images."""
    data = _pillow(image, quality)
    theirs = jpeg_files.contents_of(data)
    tables = tf.constant(_tables(quality), tf.float32)
    ours = jpeg.quantize(jpeg.coefficients(_batch(image)), tables)[0].numpy()
    apart = np.abs(ours.reshape(theirs.coefficients.shape) - theirs.coefficients)
    flat = tf.reshape(tf.cast(theirs.coefficients, tf.float32), (1, *ours.shape))
    decoded = jpeg.image(jpeg.dequantize(flat, tables), *image.shape[:2])[0].numpy()
    levels = np.abs(decoded - jpeg_decoders.by_pillow(data).astype(int))
    return (apart > 0).mean(), apart.max(), levels.max()


# JPEG in tensors.


@pytest.mark.parametrize("quality", [5, 10, 25, 50])
def test_coefficients_and_images_are_pillows(quality, images):
    for image in (images[0], images[1][:117, :53]):
        share, most, levels = _against_pillow(image, quality)
        assert share <= 0.002
        assert most <= 1
        assert levels <= 3


def test_kodak_coefficients_are_pillows(collection):
    found = [_against_pillow(read_image(path), 50) for path in collection("kodak")[::6]]
    assert max(share for share, *_ in found) <= 0.002
    assert max(most for _, most, _ in found) <= 1
    assert max(levels for *_, levels in found) <= 3


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 255)])
def test_saturated_colors_are_pillows(color):
    share, _, levels = _against_pillow(np.full((16, 16, 3), color, np.uint8), 100)
    assert share == 0
    assert levels == 0


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 8), (33, 41)])
def test_unquantized_images_come_back(size, random):
    image = tf.constant(random.integers(0, 256, (2, *size, 3)), tf.float32)
    found = jpeg.coefficients(image)
    assert found.shape == (2, 3, -(-size[0] // 8), -(-size[1] // 8), 64)
    # Planes are rounded before the transform: a level of chroma is up to 1.8 of a color.
    np.testing.assert_allclose(jpeg.image(found, *size), image, atol=2)
    np.testing.assert_allclose(jpeg.reconstruction(found, *size), image, atol=2)


def test_coefficients_are_the_definition(random):
    image = random.integers(0, 256, (8, 8, 3)).astype(float)
    luma = np.rint(image @ (0.299, 0.587, 0.114) - 128)
    k = np.arange(8)
    expected = np.empty((8, 8))
    for v in range(8):
        for u in range(8):
            scale = (0.5**0.5 if v == 0 else 1) * (0.5**0.5 if u == 0 else 1) / 4
            wave = np.outer(
                np.cos((2 * k + 1) * v * np.pi / 16), np.cos((2 * k + 1) * u * np.pi / 16)
            )
            expected[v, u] = scale * (luma * wave).sum()
    found = jpeg.coefficients(_batch(image))[0, 0, 0, 0]
    np.testing.assert_allclose(tf.reshape(found, (8, 8)), expected, atol=1e-3)


def test_cubic_rounding_has_the_papers_gradient():
    x = tf.constant([-1.5, -0.6, -0.2, 0.0, 0.3, 0.5, 2.49, 7.9])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = jpeg.round_cubic(x)
    np.testing.assert_array_equal(y, [-2, -1, 0, 0, 0, 1, 2, 8])
    np.testing.assert_allclose(tape.gradient(y, x), 3 * (x - y) ** 2, rtol=1e-6)


def test_quantized_values_fit_into_files():
    tables = tf.ones((2, 8, 8))
    wild = tf.constant(5000.0) * tf.sign(tf.random.normal((1, 3, 2, 2, 64)))
    found = jpeg.quantize(wild, tables).numpy()
    assert found[..., 0].min() == -1024
    assert found[..., 1:].min() == -1023
    assert found.max() == 1023


def test_gradients_of_tables_are_those_of_the_error(random):
    """Over many blocks the cubic's gradient is the true one, also where images are dark."""
    image = random.integers(0, 256, (1, 512, 512, 3)) * np.linspace(0, 1, 512)[:, None]
    image = tf.constant(np.rint(image), tf.float32)
    found = jpeg.coefficients(image)

    def error(step):
        tables = tf.tensor_scatter_nd_update(tf.fill((2, 8, 8), 20.0), [[0, 0, 0]], [step])
        decoded = jpeg.dequantize(jpeg.quantize(found, tables), tables)
        return losses.mse(image, jpeg.reconstruction(decoded, 512, 512))

    slopes = []
    for value in np.arange(30.0, 60.0, 2.0):
        step = tf.constant(value)
        with tf.GradientTape() as tape:
            tape.watch(step)
            loss = error(step)
        slopes.append(float(tape.gradient(loss, step)))
    rise = float(error(tf.constant(60.0)) - error(tf.constant(30.0))) / 30
    assert np.mean(slopes) == pytest.approx(rise, rel=0.25)


# Backbones and attention.


def _two_stages(weights, include_top):
    """Keras's ResNet-152 with the two stages that are used of its four."""

    def stages(x):
        x = resnet.stack1(x, 64, 3, stride1=1, name="conv2")
        return resnet.stack1(x, 128, 8, name="conv3")

    return resnet.ResNet(stages, False, True, "resnet152", include_top, weights)


@pytest.mark.parametrize(
    ("backbone", "name", "application", "layer", "channels"),
    [
        (VGG19Backbone, "VGG19", tf.keras.applications.VGG19, "block3_pool", 256),
        (VGG16Backbone, "VGG16", tf.keras.applications.VGG16, "block3_pool", 256),
        (ResNet152Backbone, "ResNet152", _two_stages, "conv3_block7_out", 512),
        pytest.param(
            *(ResNet152Backbone, "ResNet152", tf.keras.applications.ResNet152),
            *("conv3_block7_out", 512),
            marks=pytest.mark.long,
        ),
    ],
)
def test_backbones_are_keras(
    backbone, name, application, layer, channels, tmp_path, random, monkeypatch
):
    monkeypatch.setattr(tf.keras.applications, name, application)
    model = application(weights=None, include_top=False)
    for variable in model.variables:  # moments that are not those of a new network
        if "moving" in variable.name or "gamma" in variable.name:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    path = str(tmp_path / "weights.h5")
    model.save_weights(path)
    theirs = tf.keras.Model(model.input, model.get_layer(layer).output)
    image = tf.constant(random.uniform(0, 255, (1, 48, 72, 3)), tf.float32)
    for preprocess in (False, True):
        ours = backbone(path, preprocess=preprocess)
        fed = resnet.preprocess_input(tf.identity(image)) if preprocess else image / 255
        expected = theirs(fed, training=False)
        found = ours(image)
        assert found.shape == (1, 6, 9, channels)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_first_block_of_the_third_stage():
    one, seven = ResNet152Backbone("random", block=1), ResNet152Backbone("random")
    count = [sum(v.shape.num_elements() for v in backbone.variables) for backbone in (one, seven)]
    assert [round(c / 1e6, 2) for c in count] == [0.61, 2.31]
    assert one.receptive_field_radius < seven.receptive_field_radius
    assert one(tf.zeros((1, 16, 24, 3))).shape == (1, 2, 3, 512)


@pytest.mark.parametrize(
    "make", [VGG19Backbone, VGG16Backbone, lambda w: ResNet152Backbone(w, block=1)]
)
def test_features_depend_on_no_more_than_their_reach(make, random):
    backbone = make("random")
    blocks = backbone.receptive_field_radius // 8
    wide = random.uniform(0, 255, (1, 16, 8 * (2 * blocks + 1), 3)).astype(np.float32)
    narrow = backbone(tf.constant(wide))[:, :, blocks]
    for more in (8, 64):
        around = random.uniform(0, 255, (2, 1, 16, more, 3)).astype(np.float32)
        found = backbone(tf.constant(np.concatenate([around[0], wide, around[1]], 2)))
        middle = found[:, :, blocks + more // 8]
        np.testing.assert_allclose(middle, narrow, rtol=1e-3, atol=1e-4 * np.abs(narrow).max())
    assert not np.allclose(found[:, :, more // 8], backbone(tf.constant(wide))[:, :, 0], rtol=1e-3)


def test_blocks_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"block must lie in 1\.\.8, got 9"):
        ResNet152Backbone("random", block=9)


def test_random_weights_are_the_same_everywhere():
    one, other = VGG19Backbone("random"), VGG19Backbone("random")
    for mine, theirs in zip(one.variables, other.variables):
        np.testing.assert_array_equal(mine, theirs)


def test_backbones_without_weights_say_so():
    with pytest.raises(BackboneError, match="weights 'nowhere.h5' of vgg19: no such file"):
        VGG19Backbone("nowhere.h5")


def test_backbone_weights_of_another_network_are_refused(tmp_path):
    path = str(tmp_path / "other.h5")
    tf.keras.applications.MobileNetV2(weights=None, include_top=False).save_weights(path)
    with pytest.raises(BackboneError, match="cannot be loaded"):
        VGG19Backbone(path)


def test_lstm_is_keras(random):
    ours = LSTM(5, 7)
    theirs = tf.keras.layers.LSTM(7, return_sequences=True)
    sequence = tf.constant(random.normal(size=(2, 30, 5)), tf.float32)
    theirs.build(sequence.shape)
    # Keras has the gates i, f, c, o, ours are i, c, f, o.
    order = np.r_[0:7, 14:21, 7:14, 21:28]
    ours.bias.assign_add(tf.constant(random.normal(size=28), tf.float32))
    kernel = ours.kernel.numpy()[:, order]
    theirs.set_weights([kernel[:5], kernel[5:], ours.bias.numpy()[order]])
    gradients = []
    for layer, variables in ((ours, [ours.kernel]), (theirs, theirs.trainable_variables[:2])):
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            states = layer(sequence)
            loss = tf.reduce_sum(tf.square(states) * tf.range(7.0))
        gradients.append((states, *tape.gradient(loss, [sequence, *variables])))
    mine, keras = gradients
    np.testing.assert_allclose(mine[0], keras[0], atol=1e-5)
    np.testing.assert_allclose(mine[1], keras[1], atol=1e-4)
    np.testing.assert_allclose(mine[2].numpy()[:, order], tf.concat(keras[2:], 0), atol=1e-4)


class _Flat(tf.Module):
    channels, receptive_field_radius = 3, 8

    def __call__(self, image):
        return tf.nn.avg_pool2d(image / 255.0, 8, 8, "VALID")


@pytest.mark.parametrize("outputs", ["sigmoid", "tanh", "minmax"])
@pytest.mark.parametrize("both", [False, True])
def test_lstm_attention_has_the_range_it_is_asked_for(outputs, both, random):
    attention = LSTMAttention(_Flat(), both, outputs)
    image = tf.constant(random.uniform(0, 255, (2, 16, 24, 3)), tf.float32)
    for found in attention(image, jpeg.coefficients(image)):
        assert found.shape == (2, 2, 3, 8, 8)
        low, high = {"sigmoid": (0.26, 0.74), "tanh": (-1, 1), "minmax": (0, 1)}[outputs]
        assert low <= found.numpy().min() < found.numpy().max() <= high
        if outputs == "minmax":
            for each in found.numpy():
                assert each.min() == 0
                assert each.max() == pytest.approx(1, abs=1e-3)
    assert attention.receptive_field_radius is None


class _Loud(_Flat):
    """Features as a trained VGG's of Keras's preprocessing."""

    def __call__(self, image):
        return 300.0 * super().__call__(image)


def test_features_are_divided_so_that_attention_begins_open_and_lstms_learn(random):
    image = tf.constant(random.uniform(0, 255, (1, 32, 32, 3)), tf.float32)
    coefficients = jpeg.coefficients(image)
    loud, divided = (ConvAttention(_Loud(), 0.01, 4.0, scale) for scale in (1.0, 300.0))
    divided.conv.kernel.assign(loud.conv.kernel)
    quiet = ConvAttention(_Flat(), 0.01, 4.0)
    quiet.conv.kernel.assign(loud.conv.kernel)
    for one, other in zip(divided(image, coefficients), quiet(image, coefficients)):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert divided(image, coefficients)[0].numpy().min() > 0.9
    assert loud(image, coefficients)[0].numpy().min() < 0.5
    slopes = []
    for scale in (1.0, 300.0):
        attention = LSTMAttention(_Loud(), feature_scale=scale)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(attention(image, coefficients)[0])
        slopes.append(float(tf.norm(tape.gradient(total, attention.conv.bias))))
    assert slopes[1] > 10 * slopes[0]


def test_an_lstm_with_logits_reaches_all_of_0_to_1(random):
    image = tf.constant(random.uniform(0, 255, (2, 16, 24, 3)), tf.float32)
    found = {}
    for gain, offset in ((1e-6, 4.0), (4000.0, 0.0)):
        attention = LSTMAttention(_Flat(), True, "sigmoid_logits", gain, offset)
        names = {v.name.rpartition("attention/")[2] for v in attention.trainable_variables}
        assert {"luma_logits/kernel:0", "chroma_logits/bias:0"} <= names
        found[gain] = attention(image, jpeg.coefficients(image))[0].numpy()
    np.testing.assert_allclose(found[1e-6], 1 / (1 + np.exp(-4)), atol=1e-3)  # begins open
    assert found[4000.0].min() < 0.1
    assert found[4000.0].max() > 0.9


def test_lstms_go_in_raster_order(random):
    """A change reaches blocks behind it only, and with two directions all of them."""
    image = random.uniform(0, 255, (1, 24, 24, 3))
    other = image.copy()
    other[:, 8:16, 8:16] = 0  # the fifth of nine blocks
    for both in (False, True):
        attention = LSTMAttention(_Flat(), both)
        maps = []
        for each in (image, other):
            batch = tf.constant(each, tf.float32)
            maps.append(attention(batch, jpeg.coefficients(batch))[0].numpy())
        changed = np.abs(maps[0] - maps[1]).max((0, 3, 4)).ravel() > 0
        assert list(changed) == ([True] * 9 if both else [False] * 4 + [True] * 5)


def test_lstms_read_coefficients_without_a_backbone(random):
    attention = LSTMAttention(None)
    image = tf.constant(random.uniform(0, 255, (1, 8, 16, 3)), tf.float32)
    luma, chroma = attention(image, jpeg.coefficients(image))
    assert luma.shape == chroma.shape == (1, 1, 2, 8, 8)
    with pytest.raises(ValueError, match="outputs must be one of sigmoid, tanh, minmax"):
        LSTMAttention(None, outputs="relu")


# The encoder.


class _Constant(tf.Module):
    """Attention that is the same everywhere."""

    receptive_field_radius = 0

    def __init__(self, luma, chroma):
        super().__init__()
        self._values = luma, chroma

    def __call__(self, image, coefficients):
        shape = tf.concat([tf.shape(coefficients)[:1], tf.shape(coefficients)[2:4], (8, 8)], 0)
        return tuple(tf.fill(shape, value) for value in self._values)


def test_tables_begin_as_the_paper_says():
    encoder = JPEGEncoder()
    assert encoder.tables.shape == (2, 8, 8)
    assert 1 <= encoder.tables.numpy().min() < encoder.tables.numpy().max() <= 2
    assert encoder.scaled_tables.numpy().max() <= 2 * TABLE_SCALE


def test_tables_stay_in_their_range_under_adam():
    encoder = JPEGEncoder(table_scale=1e-3)
    adam = tf.keras.optimizers.legacy.Adam(1.0)
    for direction, limit in ((-1.0, 255.0), (1.0, 1.0)):
        for _ in range(5):
            adam.apply_gradients([(tf.fill((2, 8, 8), direction), encoder.scaled_tables)])
        np.testing.assert_allclose(encoder.tables, limit, rtol=1e-5)


def test_one_step_of_adam_moves_a_table_by_a_tenth():
    encoder = JPEGEncoder()
    before = encoder.tables.numpy()
    adam = tf.keras.optimizers.legacy.Adam(1e-6, epsilon=1e-8)
    adam.apply_gradients([(tf.fill((2, 8, 8), -1.0), encoder.scaled_tables)])
    np.testing.assert_allclose(encoder.tables - before, 0.1, rtol=1e-2)


def test_attention_weighs_planes_as_the_equations_say(images):
    plain, halved = JPEGEncoder(), JPEGEncoder(_Constant(0.5, 0.25))
    for encoder in (plain, halved):
        encoder.set_tables(_tables(50))
    image = _batch(images[0])
    found = jpeg.coefficients(image)
    weights = tf.reshape((0.5, 0.25, 0.25), (3, 1, 1, 1))
    expected = jpeg.quantize(found * weights, tf.constant(_tables(50), tf.float32))
    np.testing.assert_array_equal(halved(image).quantized, expected)
    np.testing.assert_array_equal(
        plain(image).quantized, jpeg.quantize(found, tf.constant(_tables(50), tf.float32))
    )


def test_files_have_rounded_tables(images):
    encoder = JPEGEncoder()
    encoder.set_tables(np.full((2, 8, 8), 10.4))
    coefficients, tables = encoder.encode(_batch(images[0]))
    assert coefficients.dtype == tf.int16
    assert coefficients.shape == (1, 3, 16, 20, 8, 8)
    assert np.all(tables.numpy() == 10)


def test_reconstruction_is_what_a_decoder_shows(images):
    """But for rounding and clipping: with tables of whole steps both code alike."""
    encoder = JPEGEncoder()
    encoder.set_tables(_tables(75))
    image = images[0]
    coefficients, tables = encoder.encode(_batch(image))
    contents = jpeg_files.Contents(coefficients[0].numpy(), tables.numpy(), *image.shape[:2])
    shown = jpeg_decoders.by_pillow(jpeg_files.to_bytes(contents)).astype(float)
    found = encoder(_batch(image)).decoded[0].numpy()
    assert np.abs(np.clip(found, 0, 255) - shown).max() <= 4
    assert np.abs(np.clip(found, 0, 255) - shown).mean() < 0.6


def test_a_scale_of_nothing_is_refused():
    with pytest.raises(ValueError, match="table_scale must be above 0, got 0"):
        JPEGEncoder(table_scale=0)


def test_open_attention_leaves_the_image_nearly_as_it_is(images):
    attention = ConvAttention(_Flat(), gain=1e-4, offset=8.0)
    encoder = JPEGEncoder(attention)
    coded = encoder(_batch(images[0]))
    assert np.abs(coded.decoded - _batch(images[0])).mean() < 2
    assert min(each.numpy().min() for each in coded.attention) > 0.99


# Losses.


def test_rates_are_the_equations():
    assert float(losses.table_rate(tf.ones((2, 8, 8)))) == 128
    assert float(losses.table_rate(tf.fill((2, 8, 8), 255.0))) == pytest.approx(128 / 255)
    maps = tf.fill((2, 3, 4, 8, 8), 0.25), tf.fill((2, 3, 4, 8, 8), 1.0)
    assert float(losses.attention_rate(maps)) == 1.25


def test_ms_ssim_loss_is_tensorflows(images):
    one = tf.stack([tf.tile(tf.cast(p, tf.float32), (2, 2, 1)) for p in images[:2]])
    other = tf.clip_by_value(one + 20 * tf.random.normal(one.shape), 0, 255)
    expected = 1 - np.mean(tf.image.ssim_multiscale(one, other, 255))
    assert float(losses.ms_ssim_loss(one, other)) == pytest.approx(expected)
    assert float(losses.ms_ssim_loss(one, one)) == pytest.approx(0, abs=1e-6)


def test_ms_ssim_loss_has_a_gradient_where_structure_is_inverted(images):
    one = tf.tile(_batch(images[0]), (1, 2, 2, 1))
    pair = (
        tf.concat([one, one], 0),
        tf.concat([255 - one, one + 3 * tf.random.normal(one.shape)], 0),
    )
    with tf.GradientTape() as tape:
        tape.watch(pair[1])
        loss = losses.ms_ssim_loss(*pair)
    gradient = tape.gradient(loss, pair[1])
    assert np.isfinite(gradient).all()
    assert np.any(gradient[1])
    with tf.GradientTape() as tape:  # the reason for the guard
        tape.watch(pair[1])
        loss = 1 - tf.reduce_mean(tf.image.ssim_multiscale(*pair, 255))
    assert not np.isfinite(tape.gradient(loss, pair[1])).all()


# LPIPS.


@pytest.mark.parametrize("network", NETWORKS)
def test_lpips_of_every_network(network, images):
    distance = LPIPS("random", network)
    one, other = (_batch(image) for image in images[:2])
    assert float(distance(one, one)[0]) < 1e-12  # places of a batch are rounded apart
    assert float(distance(one, other)[0]) > 0
    small = one + tf.random.normal(one.shape)
    assert 0 < float(distance(one, small)[0]) < float(distance(one, other)[0])
    for pair in ((one, one), (one, small)):
        with tf.GradientTape() as tape:
            tape.watch(pair[1])
            loss = tf.reduce_sum(distance(*pair))
        gradient = tape.gradient(loss, pair[1]).numpy()
        assert np.isfinite(gradient).all()
    assert gradient.any()
    assert not distance.trainable_variables


@pytest.mark.parametrize(
    ("network", "layers", "channels"),
    [
        ("alex", 5, (64, 192, 384, 256, 256)),
        ("vgg", 5, (64, 128, 256, 512, 512)),
        ("squeeze", 7, (64, 128, 256, 384, 384, 512, 512)),
    ],
)
def test_lpips_networks_have_torchvisions_layers(network, layers, channels):
    shapes = array_shapes(network)
    assert [shapes[f"lin{k}.weight"] for k in range(layers)] == [(c,) for c in channels]
    counts = {"alex": 2_469_696, "vgg": 14_714_688, "squeeze": 722_496}
    kernels = sum(int(np.prod(s)) for n, s in shapes.items() if not n.startswith("lin"))
    assert kernels == counts[network]
    features = LPIPSFeatures(network, "random")(tf.zeros((1, 67, 93, 3)))
    assert [each.shape[-1] for each in features] == list(channels)


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        ("vgg", [1.1315612e-3, 2.9410666e-4, 1.0440965e-4, 3.087975e-5, 2.0340518e-5]),
        (
            "squeeze",
            [
                0.0012544016,
                0.00034494582,
                5.8942871e-05,
                1.6659131e-05,
                1.6609531e-05,
                1.3431427e-05,
                1.2604478e-05,
            ],
        ),
    ],
)
def test_lpips_networks_are_pytorchs(network, layers):
    """Computed with PyTorch 2.13, torchvision's layers and the authors' taps, random weights."""
    generator = np.random.default_rng(7)
    one = generator.integers(0, 256, (67, 93, 3))
    other = np.clip(one + generator.integers(-40, 41, one.shape), 0, 255)
    found = LPIPS("random", network).per_layer(_batch(one), _batch(other))[0]
    np.testing.assert_allclose(found, layers, rtol=1e-4)


def test_squeezenet_pools_windows_that_stick_out():
    sides = [f.shape[1] for f in LPIPSFeatures("squeeze", "random")(tf.zeros((1, 67, 67, 3)))]
    assert sides == [33, 16, 8, 4, 4, 4, 4]  # PyTorch's ceil_mode


def test_lpips_refuses_weights_of_another_network(tmp_path):
    arrays = {name: np.zeros(shape) for name, shape in array_shapes("alex").items()}
    np.savez(tmp_path / "alex.npz", **arrays)
    with pytest.raises(BackboneError, match=r"'features.0.weight' is \[64, 3, 11, 11\], expected"):
        LPIPS(str(tmp_path / "alex.npz"), "vgg")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("one.npy", "empty.npz"):
        with pytest.raises(BackboneError, match="expected 'random' or a NumPy archive"):
            LPIPS(str(tmp_path / name))
    with pytest.raises(ValueError, match="network must be one of alex, vgg, squeeze"):
        LPIPS("random", "lenet")
