"""Restoration networks: wavelets, diffusion, reach, ablations; losses; backbones."""

import numpy as np
import pytest
import tensorflow as tf

from lossylab.data.jpeg import degrade, luminance_table
from lossylab.losses import adversarial
from lossylab.losses import wcdgan as losses
from lossylab.models import restorers, tnrd
from lossylab.models.arcnn import ARCNN
from lossylab.models.backbones import vgg
from lossylab.models.dncnn import DnCNN
from lossylab.models.layers.blocks import Conv2D, pad_to_multiple, replicate_pad
from lossylab.models.layers.dct import dct_matrix
from lossylab.models.memnet import MemNet
from lossylab.models.mwcnn import MWCNN, haar, inverse_haar
from lossylab.models.tnrd import TNRD
from lossylab.models.wcdgan import WCDB, WCDGAN, MixedAttention, MixedConv

_AUTHORS = {"shared_recursions": True, "multiple_outputs": True, "biases": True}
# Kernels: the paper's 677 K; biases, batch normalization of its own for every use, six weights.
_MEMNET = 9 * 64 + 6 * 2 * 9 * 64**2 + sum(range(7, 13)) * 64**2 + 9 * 64
_MEMNET += 64 * (1 + 12 + 6) + 1 + 2 * (1 + 64 * (72 + sum(range(7, 13)) + 6)) + 6


def _count(module):
    return sum(v.shape.num_elements() for v in module.trainable_variables)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: WCDGAN(1), 1_686_089),
        (lambda: MixedConv(64, 2), 41_088),
        (lambda: MixedAttention(64), 2_400 + 5_761),
        (lambda: WCDB(64, True, True), 193_057),
        (lambda: ARCNN(3), 117_731),
        (lambda: DnCNN(1, 20, batch_normalization=False), 665_921),
        (lambda: MemNet(3), 2_907_782),
        (lambda: MemNet(**_AUTHORS), _MEMNET),
        (lambda: MWCNN(3), 24_930_115),
        (lambda: TNRD(4, luminance_table(10)), 4 * 5_328),
    ],
)
def test_parameters_of_other_instances(build, parameters):
    assert _count(build()) == parameters


def _noisy(network):
    """Gives last layers that begin near 0 something to do."""
    for variable in network.trainable_variables:
        if variable.shape.rank == 4:
            fan_in = np.prod(variable.shape[:3])
            variable.assign(tf.random.normal(variable.shape, stddev=fan_in**-0.5))
    return network


_REACHING = {
    "arcnn": ARCNN,
    "dncnn": lambda: DnCNN(1, 6, filters=8),
    "memnet": lambda: MemNet(1, filters=8, blocks=2, recursions=2),
    "mwcnn": lambda: MWCNN(1, filters=4),
    "tnrd": lambda: TNRD(2, luminance_table(10)),
}


@pytest.mark.parametrize("name", _REACHING)
def test_a_pixel_changes_nothing_beyond_the_networks_reach(name, random):
    network = _noisy(_REACHING[name]())
    multiple = getattr(network, "multiple", 1)
    receptive_field_radius = -(-network.receptive_field_radius // multiple) * multiple
    side = 2 * receptive_field_radius + 2 * multiple + 9
    image = random.uniform(0, 255, (1, side, side, 1)).astype(np.float32)
    other = image.copy()
    middle = side // 2
    other[0, middle, middle] += 60.0
    moved = np.abs(network(image) - network(other))[0, ..., 0]
    rows, columns = np.nonzero(moved > 1e-4)
    assert rows.size
    furthest = max(np.abs(rows - middle).max(), np.abs(columns - middle).max())
    assert furthest <= receptive_field_radius


def test_haar_is_orthonormal_and_inverted(random):
    x = random.normal(size=(2, 12, 8, 3)).astype(np.float32)
    bands = haar(x)
    assert bands.shape == (2, 6, 4, 12)
    np.testing.assert_allclose(np.sum(bands**2), np.sum(x**2), rtol=1e-5)
    np.testing.assert_allclose(inverse_haar(bands), x, atol=1e-5)
    np.testing.assert_allclose(haar(np.ones((1, 2, 2, 1), np.float32))[0, 0, 0], [2, 0, 0, 0])


def test_dct_matrix_is_orthonormal():
    for size in (1, 7, 8):
        np.testing.assert_allclose(dct_matrix(size) @ dct_matrix(size).T, np.eye(size), atol=1e-12)


def test_the_projection_keeps_to_the_files_coefficients(images):
    """Coding the restored plane again gives the same file, but for rounding."""
    plane = degrade(images[0][:64, :96, :1], 10)
    network = TNRD(2, luminance_table(10))
    for stage in network.stages:  # much too strong, so that the projection has to act
        stage.functions.assign(30.0 * stage.functions)
    restored = network(plane[None].astype(np.float32)).numpy()
    moved = np.abs(restored[0] - plane).mean()
    assert moved > 1

    def blocks(image):
        dct = dct_matrix(8)
        grid = (image[..., 0] - 128.0).reshape(8, 8, 12, 8).transpose(0, 2, 1, 3)
        return np.einsum("iy,abyx,jx->abij", dct, grid, dct) / luminance_table(10)

    assert np.abs(blocks(restored[0]) - np.rint(blocks(plane))).max() <= 0.5 + 1e-3


def test_cut_blocks_are_not_projected(images):
    plane = degrade(images[0][:13, :21, :1], 10)[None].astype(np.float32)
    with_table, without = TNRD(1, luminance_table(10)), TNRD(1)
    for mine, theirs in zip(with_table.stages, without.stages):
        theirs.mixture.assign(mine.mixture)
        theirs.functions.assign(mine.functions)
        theirs.strength.assign(0.0)
    a, b = with_table(plane), without(plane)
    np.testing.assert_allclose(a[:, 8:], b[:, 8:], atol=1e-3)
    np.testing.assert_allclose(a[:, :, 16:], b[:, :, 16:], atol=1e-3)


def test_the_table_of_tnrds_functions_is_close_to_the_gaussians(random):
    stage = TNRD(1).stages[0]
    stage.functions.assign(random.normal(size=stage.functions.shape))
    x = random.uniform(-330, 330, (1, 5, 7, tnrd.FILTERS)).astype(np.float32)
    inside = np.clip(x, -310, 310)[..., None]
    gaussians = np.exp(-0.005 * (inside - tnrd.CENTERS) ** 2)
    expected = np.einsum("bhwcj,cj->bhwc", gaussians, stage.functions.numpy())
    np.testing.assert_allclose(stage._influence(tf.constant(x)), expected, atol=1e-3)


def test_stages_of_zero_functions_change_nothing(random):
    network = TNRD(3)
    for stage in network.stages:
        stage.functions.assign(tf.zeros_like(stage.functions))
        stage.strength.assign(0.0)
    x = random.uniform(0, 255, (1, 9, 11, 1)).astype(np.float32)
    np.testing.assert_allclose(network(x), x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("part", [None, "mixed_conv", "mixed_attention"])
def test_wcdgan_begins_near_the_image(part, channels, images):
    """The paper gives no initial values; these pass the image on, at its size and in any draw."""
    x = images[0][None, :64, :64, :channels].astype(np.float32)
    for seed in (1, 2):
        tf.random.set_seed(seed)
        network = WCDGAN(channels, **({part: False} if part else {}))
        assert np.abs(network(x) - x).mean() < 4
        kernels = [block.compress.kernel.numpy() for block in network.blocks]
        assert all(kernel[..., channels:].std() > 0 for kernel in kernels)


@pytest.mark.parametrize("part", ["mixed_conv", "mixed_attention"])
def test_ablations_leave_out_what_they_say(part):
    whole, without = WCDGAN(1, 16, 2), WCDGAN(1, 16, 2, **{part: False})
    names = [variable.name for variable in without.variables]
    assert not any(part in name for name in names)
    assert any(part in variable.name for variable in whole.variables)


def test_branches_of_a_mixed_convolution_see_both_distances(random):
    layer = MixedConv(4, dilation=8)
    x = np.zeros((1, 33, 33, 4), np.float32)
    x[0, 16, 16] = 1.0
    rows, columns = np.nonzero(np.abs(layer(x)[0]).sum(-1) > 1e-7)
    places = set(zip(np.abs(rows - 16), np.abs(columns - 16)))
    assert places == {(a, b) for a in (0, 1) for b in (0, 1)} | {
        (a, b) for a in (0, 8) for b in (0, 8)
    }


def test_attention_weighs_by_the_whole_images_mean(random):
    layer = MixedAttention(8)
    x = random.normal(size=(1, 20, 20, 8)).astype(np.float32)
    mean = x.mean((1, 2), keepdims=True)
    whole, part = layer(x, mean), layer(x[:, :12], mean)
    np.testing.assert_allclose(part[:, :8], whole[:, :8], atol=1e-5)
    assert not np.allclose(layer(x, mean + 20.0), whole)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WCDGAN(filters=6), "filters must be a multiple of 4, got 6"),
        (lambda: WCDGAN(blocks=0), "blocks must be at least 1, got 0"),
        (lambda: DnCNN(layers=1), "layers must be at least 2, got 1"),
        (lambda: TNRD(0), "stages must be at least 1, got 0"),
        (lambda: restorers.make("tnrd", 3, luminance_table(10)), "tnrd restores luma only"),
    ],
)
def test_impossible_networks_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_convolutions_keep_the_size_and_halve_it(random):
    x = random.normal(size=(1, 9, 7, 2)).astype(np.float32)
    assert Conv2D(2, 3, 3, dilation=4)(x).shape == (1, 9, 7, 3)
    assert Conv2D(2, 3, 3, stride=2)(x).shape == (1, 5, 4, 3)
    padded = replicate_pad(x, 2)
    np.testing.assert_array_equal(padded, np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "edge"))
    wide = pad_to_multiple(x, 8)
    np.testing.assert_array_equal(wide, np.pad(x, ((0, 0), (0, 7), (0, 1), (0, 0)), "edge"))


def test_channels_begin_as_the_identity(random):
    x = random.normal(size=(1, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(Conv2D(3, 8, 5, identity=3)(x)[..., :3], x, atol=1e-6)


def test_content_loss():
    true, restored = tf.zeros((1, 2, 2, 1)), tf.reshape([1.0, -3.0, 0.0, 0.0], (1, 2, 2, 1))
    assert losses.content_loss(true, restored) == 1.0
    assert losses.content_loss(true, restored, "l2") == 2.5
    with pytest.raises(ValueError, match="norm must be 'l1' or 'l2', got 'l3'"):
        losses.content_loss(true, restored, "l3")


def test_total_variation_is_the_printed_one():
    """|dx + dy|: opposite steps cancel, which |dx| + |dy| would not let them."""
    x = np.array([[0.0, 5.0], [-5.0, 9.0]], np.float32).reshape(1, 2, 2, 1)
    assert losses.total_variation(tf.constant(x)) == 0.0
    x[0, 1, 0] = 2.0
    assert losses.total_variation(tf.constant(x)) == 7.0
    assert losses.total_variation(tf.fill((1, 4, 4, 3), 9.0)) == 0.0


def test_least_squares_losses():
    true, restored = tf.constant([1.0, 0.0]), tf.constant([0.0, 2.0])
    assert adversarial.least_squares_discriminator(true, restored) == 0.5 + 2.0
    assert adversarial.least_squares_generator(restored) == 1.0
    assert adversarial.least_squares_discriminator(tf.ones(3), tf.zeros(3)) == 0.0
    assert adversarial.least_squares_generator(tf.ones(3)) == 0.0


def test_perceptual_loss_is_zero_for_equal_images_and_takes_luma(random):
    features = vgg.VGG(weights="random")
    x = tf.constant(random.uniform(0, 255, (1, 32, 32, 1)), tf.float32)
    assert losses.perceptual_loss(x, x, features) == 0.0
    assert losses.perceptual_loss(x, 255.0 - x, features) > 0.0


def test_memnets_recursions_may_share_their_convolutions():
    own, shared = (MemNet(1, 8, 2, 3, shared_recursions=each) for each in (False, True))
    kernels = [
        {v.ref() for v in n.variables if v.shape[:1] == 3 and "unit" in v.name}
        for n in (own, shared)
    ]
    assert [len(each) for each in kernels] == [2 * 3 * 2, 2 * 2]
    convs = [unit.convs[0].conv for unit in shared.units]
    assert convs[0] is convs[1] is convs[2] is not convs[3]
    assert len({id(unit.convs[0].norm) for unit in shared.units}) == 6


def test_memnets_image_is_the_learned_sum_of_its_outputs(random):
    network = MemNet(1, 8, 3, 2, **_AUTHORS)
    network.output_weights.assign([0.5, 0.75, -0.25])
    network.reconstructor.conv.kernel.assign(random.normal(size=(3, 3, 8, 1)))
    x = tf.constant(random.uniform(0, 255, (2, 12, 9, 1)), tf.float32)
    image, *outputs = network.supervised(x)
    assert len(outputs) == 3
    assert not np.allclose(outputs[0], outputs[1])
    wanted = 0.5 * outputs[0] + 0.75 * outputs[1] - 0.25 * outputs[2]
    np.testing.assert_allclose(image, wanted, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(network(x), image)
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(y) for y in restorers.supervised(network, x)])
    assert all(g is not None for g in tape.gradient(loss, network.trainable_variables))


@pytest.mark.parametrize("channels", [1, 3])
def test_arcnn_begins_with_the_image(channels, random):
    network = ARCNN(channels)
    image = tf.constant(random.uniform(0, 255, (2, 20, 17, channels)), tf.float32)
    np.testing.assert_allclose(network(image), image, atol=1e-3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(image) ** 2)
    changes = tape.gradient(loss, [conv.kernel for conv in network.convs])
    assert all(np.abs(change).max() > 0 for change in changes)


def test_memnet_begins_with_the_image(random):
    x = tf.constant(random.uniform(0, 255, (1, 12, 9, 1)), tf.float32)
    assert float(tf.math.reduce_std(MemNet(1, 8, 2, 2, **_AUTHORS)(x) - x)) < 4.0


def test_every_restorer_supervises_its_image(random):
    x = tf.constant(random.uniform(0, 255, (1, 16, 16, 1)), tf.float32)
    for network in (WCDGAN(1, 4, 1), MemNet(1, 4, 1, 1)):
        (found,) = restorers.supervised(network, x)
        assert found.shape == x.shape
