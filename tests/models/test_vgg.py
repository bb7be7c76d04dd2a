"""VGG-16 and VGG-19: equal to Keras's, weights of every kind of file, and distances by them."""

import numpy as np
import pytest
import tensorflow as tf

from lossylab.core import downloads
from lossylab.core.errors import BackboneError
from lossylab.losses.features import FeatureDistance
from lossylab.models.backbones import vgg
from lossylab.models.backbones.vgg import VGG

_KERAS = {"vgg16": tf.keras.applications.VGG16, "vgg19": tf.keras.applications.VGG19}
_FIRST = ("block1_conv1", "block1_conv2", "block1_pool", "block2_conv1")


def _image(random, *size):
    return tf.constant(random.uniform(0, 255, (*size, 3)), tf.float32)


def _arrays(random, upto=("block1_conv1", "block1_conv2", "block2_conv1")):
    """Arrays of an archive of the first layers."""
    channels = {"block1_conv1": (3, 64), "block1_conv2": (64, 64), "block2_conv1": (64, 128)}
    arrays = {}
    for name in upto:
        kernel = random.normal(0, 0.1, (3, 3, *channels[name]))
        arrays |= {f"{name}/kernel": kernel.astype(np.float16)}
        arrays |= {f"{name}/bias": random.normal(size=channels[name][1]).astype(np.float32)}
    return arrays


@pytest.mark.parametrize("network", vgg.NETWORKS)
def test_features_are_keras(network, tmp_path, random):
    path = str(tmp_path / "vgg.h5")
    model = _KERAS[network](include_top=False, weights=None)
    model.save_weights(path)
    layers = ("block1_conv1", "block3_pool", vgg.last_conv(network))
    x = _image(random, 2, 32, 48)
    outputs = [model.get_layer(layer).output for layer in layers]
    scaled = tf.keras.applications.vgg19.preprocess_input(tf.identity(x))
    for found, wanted in zip(
        VGG(network, path, layers)(x), tf.keras.Model(model.input, outputs)(scaled)
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_last_convolution_is_what_the_paper_looks_at():
    assert VGG("vgg19", "random").layers == ("block5_conv4",)
    assert VGG("vgg16", "random").layers == ("block5_conv3",)
    assert vgg.last_conv("vgg16", 2) == "block2_conv2"


@pytest.mark.parametrize(("network", "sides"), [("vgg16", (13, 7)), ("vgg19", (12, 6))])
def test_odd_sizes_are_pooled_as_the_network_was_trained(network, sides, random):
    one, two = VGG(network, "random", ("block1_pool", "block2_pool"))(_image(random, 1, 25, 25))
    assert (one.shape[1], two.shape[1]) == sides


def test_random_weights_are_drawn_by_name(random):
    x = _image(random, 1, 32, 48)
    tf.random.set_seed(5)
    one = VGG(weights="random")
    tf.random.set_seed(6)
    other = VGG(weights="random")
    assert one(x)[0].shape == (1, 2, 3, 512)
    np.testing.assert_array_equal(one(x)[0], other(x)[0])
    assert not one.trainable_variables
    seeded = [VGG(weights="random", seed=seed)(x)[0].numpy() for seed in (3, 3, 0)]
    np.testing.assert_array_equal(seeded[0], seeded[1])
    assert not np.allclose(seeded[0], seeded[2])


def test_archives_fill_the_layers_they_are_needed_for(tmp_path, random):
    arrays = _arrays(random)
    path = str(tmp_path / "vgg.npz")
    np.savez(path, **arrays)
    network, x = VGG("vgg16", path, _FIRST, preprocess=False), _image(random, 1, 9, 12)
    for layer, kernel, bias in zip(
        ("block1_conv1", "block1_conv2"), network.kernels, network.biases
    ):
        np.testing.assert_array_equal(kernel, arrays[f"{layer}/kernel"].astype(np.float32))
        np.testing.assert_array_equal(bias, arrays[f"{layer}/bias"])
    first = network(x)[0]
    kernel = arrays["block1_conv1/kernel"].astype(np.float32)
    wanted = tf.nn.conv2d(x / 255, kernel, 1, "SAME") + arrays["block1_conv1/bias"]
    np.testing.assert_allclose(first, tf.nn.relu(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("block1_conv2/bias"), "lack 'block1_conv2/bias'"),
        (lambda a: a.update({"block1_conv1/bias": np.zeros(3)}), r"is \[3\], expected \[64\]"),
        (lambda a: a["block1_conv1/bias"].fill(np.nan), "not finite"),
        (
            lambda a: a.update({"block3_conv4/bias": np.zeros(256)}),
            "vgg16 has no layer block3_conv4",
        ),
        (lambda a: a.update({"block1_conv1/bias": np.array(["x"] * 64)}), "could not convert"),
    ],
)
def test_archives_that_do_not_fit_are_refused(change, message, tmp_path, random):
    arrays = _arrays(random)
    change(arrays)
    np.savez(tmp_path / "vgg.npz", **arrays)
    with pytest.raises(BackboneError, match=f"vgg.npz' of vgg16 cannot be loaded: .*{message}"):
        VGG("vgg16", str(tmp_path / "vgg.npz"), _FIRST)


def test_weights_that_cannot_be_had_say_what_to_do(tmp_path, monkeypatch):
    for name in ("nowhere.h5", "nowhere.npz"):
        with pytest.raises(BackboneError, match="no such file; expected 'imagenet'"):
            VGG("vgg16", name)
    for name in ("bad.h5", "bad.npz"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(BackboneError, match="cannot be loaded"):
            VGG("vgg19", str(tmp_path / name))

    def offline(weights=None, **options):
        if weights == "imagenet":
            raise Exception("URL fetch failure on https://example.org")
        return _KERAS["vgg19"](weights=weights, **options)

    monkeypatch.setattr(tf.keras.applications, "VGG19", offline)
    message = "Without a network, download the file"
    with downloads.allowed(True), pytest.raises(BackboneError, match=message):
        VGG("vgg19", "imagenet")
    with pytest.raises(ValueError, match="vgg16 has no layer block5_conv4, only block1_conv1"):
        VGG("vgg16", "random", ("block5_conv4",))
    with pytest.raises(ValueError, match="network must be one of vgg16, vgg19, got 'vgg11'"):
        VGG("vgg11", "random")


def test_known_weights_have_a_name_and_means_of_their_own(tmp_path, random, monkeypatch):
    path = str(tmp_path / "vgg.npz")
    np.savez(path, **_arrays(random))
    assert vgg.label("vgg19", "imagenet") == "VGG-19 (ImageNet)"
    assert vgg.label("vgg16", "random") == "VGG-16 (random weights)"
    plain = VGG("vgg16", path, _FIRST)
    assert vgg.label("vgg16", path) == f"VGG-16 (weights {vgg.file_digest(path)[:16]})"
    monkeypatch.setattr(vgg, "_HED", vgg.file_digest(path))
    known = VGG("vgg16", path, _FIRST)
    assert vgg.label("vgg16", path) == "VGG-16 (HED)"
    x = _image(random, 1, 8, 8)
    assert not np.array_equal(plain(x)[0], known(x)[0])
    copy = VGG.from_config(known.get_config())
    for mine, theirs in zip(copy.variables, known.variables):
        mine.assign(theirs)
    np.testing.assert_array_equal(copy(x)[-1], known(x)[-1])


def test_feature_distance_is_a_distance(random, images):
    distance = FeatureDistance(VGG("vgg16", "random", ("block1_conv2", "block2_conv2")))
    clean = tf.constant(np.stack(images[:2])[:, :40, :56], tf.float32)
    assert np.max(distance(clean, clean)) < 1e-12  # places of a batch are rounded apart
    noise = tf.constant(random.normal(size=clean.shape), tf.float32)
    near, far = (distance(clean, clean + std * noise).numpy() for std in (2, 20))
    assert (near > 0).all()
    assert (near < far).all()
    assert (far <= 2).all()
    np.testing.assert_allclose(distance(clean + noise, clean), distance(clean, clean + noise))
    parts = distance.per_layer(clean, clean + noise)
    assert parts.shape == (2, 2)
    np.testing.assert_allclose(tf.reduce_mean(parts, -1), distance(clean, clean + noise), rtol=1e-6)
    alone = distance(clean[1:], clean[1:] + noise[1:])
    np.testing.assert_allclose(alone, distance(clean, clean + noise)[1:], rtol=1e-4)


def test_feature_distance_looks_at_directions_alone():
    one = tf.constant([[[[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]]])
    other = tf.constant([[[[6.0, 8.0], [0.0, 2.0], [0.0, 5.0]]]])
    found = FeatureDistance(lambda x: [x])(one, other)  # 0, orthogonal, and against nothing
    assert float(found[0]) == pytest.approx((0 + 2 + 1) / 3, rel=1e-6)


def test_feature_distance_has_gradients_even_of_equal_images(images):
    distance = FeatureDistance(VGG("vgg16", "random", ("block1_conv2",)))
    clean = tf.constant(images[0][None, :24, :24], tf.float32)
    for shown in (clean, clean + 9.0 * tf.cast(tf.range(24)[:, None] % 2, tf.float32)):
        with tf.GradientTape() as tape:
            tape.watch(shown)
            loss = distance(clean, shown)
        change = tape.gradient(loss, shown)
        assert tf.reduce_all(tf.math.is_finite(change))
    assert tf.reduce_any(change != 0)
