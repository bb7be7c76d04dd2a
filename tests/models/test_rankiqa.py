"""data.rankings, losses.rankiqa, models.rankiqa and `lossylab eval rankiqa`, rank_accuracy."""

import csv
import io
import re

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import BackboneError, ExportError, ImageError, UsageError
from lossylab.core.rows import read
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import CropOptions
from lossylab.data.rankings import DISTORTION_LEVELS, LEVELS, ranked_crops, versions
from lossylab.data.schedule import Schedule
from lossylab.eval import rank_accuracy, schemas
from lossylab.inference.export.rankiqa import Scorer, random_crops
from lossylab.losses import rankiqa as losses
from lossylab.models.rankiqa import RankIQA

# Distortion levels.


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("name", DISTORTION_LEVELS)
def test_levels_fall_to_the_reference_image(name, held_out):
    image = read_image(find_images("sample_test")[0])
    made = versions(image, name, 1, held_out)
    assert made.dtype == np.uint8
    assert len(made) == (5 if held_out else LEVELS)
    far = [np.abs(each.astype(float) - image).mean() for each in made]
    assert all(strong > weak for strong, weak in zip(far, far[1:]))
    assert far[-1] == 0
    np.testing.assert_array_equal(made, versions(image, name, 1, held_out))
    assert np.array_equal(made, versions(image, name, 2, held_out)) == (name != "noise")


def test_held_out_levels_lie_between_the_trained_ones():
    for kind in DISTORTION_LEVELS.values():
        for trained in zip(kind.trained, kind.trained[1:]):
            between = [s for s in kind.held_out if min(trained) < s < max(trained)]
            assert len(between) == 1


def test_the_blur_is_a_mirrored_gaussian_window(images):
    """A slow second reading: every tap, with SciPy's other code for the edges."""
    for taps, made in zip((199, 91, 39, 15, 7), versions(images[0], "blur", 0)):
        offsets = np.arange(taps) - taps // 2
        kernel = np.exp(-(offsets**2) / (2 * (taps / 6) ** 2))
        kernel /= kernel.sum()
        expected = images[0].astype(float)
        for axis in (0, 1):
            expected = scipy.ndimage.correlate1d(expected, kernel, axis, mode="reflect")
        assert np.abs(made - expected).max() <= 0.501


def test_the_noise_has_the_variance():
    gray = np.full((200, 200, 3), 128, np.uint8)
    made = versions(gray, "noise", 5)
    for each, exponent in zip(made[2:5], (-5.5, -7.5, -10)):
        deviation = (each / 255.0 - 128 / 255).std()
        assert deviation**2 == pytest.approx(2**exponent, rel=0.05)
    assert np.abs(np.corrcoef(made[2].ravel(), made[3].ravel())[0, 1]) < 0.02


def test_compressed_levels_are_pillows(images):
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "JPEG", quality=12)
    np.testing.assert_array_equal(versions(images[0], "jpeg", 0)[3], np.array(Image.open(file)))
    ratios = DISTORTION_LEVELS["jpeg2000"].trained
    np.testing.assert_allclose(ratios, (52.17, 150, 342.86, 600, 1200), atol=0.005)


def test_unknown_distortions_are_refused(images):
    with pytest.raises(ValueError, match="must be one of blur, noise, jpeg, jpeg2000, got 'pink'"):
        versions(images[0], "pink", 0)


# Batches.


def _take(paths, batch, count, size=32, seed=3, first_step=0, **place):
    schedule = Schedule(batch, seed, first_step, **place)
    data = ranked_crops(paths, CropOptions(size, 64), schedule)
    return [each.numpy() for each in data.take(count)]


@pytest.fixture(scope="module")
def paths(image_folder):
    return find_images(str(image_folder))


def test_batches_are_ordered_by_distortion_level_and_image(paths):
    (batch,) = _take(paths, 48, 1, size=128)  # as high as the images
    groups = batch.reshape(len(DISTORTION_LEVELS), LEVELS, 2, 128, 128, 3)
    wholes = {path: read_image(path) for path in paths}
    chosen = []
    for slot in range(2):
        (path,) = [p for p, whole in wholes.items() if _inside(groups[0, -1, slot], whole)]
        chosen.append(path)
        for kind, name in enumerate(DISTORTION_LEVELS):
            made = versions(wholes[path], name, noise_seed(path))
            for level in range(LEVELS):
                assert _inside(groups[kind, level, slot], made[level]), (name, level)
    assert chosen[0] != chosen[1]


def _inside(crop, whole):
    """Whether a crop of full height is somewhere in the image."""
    size = crop.shape[1]
    return any(
        np.array_equal(crop, whole[:, left : left + size])
        for left in range(whole.shape[1] - size + 1)
    )


def test_crops_have_places_of_their_own(paths):
    (batch,) = _take(paths[:1], 24, 1, size=48)
    reference = batch.reshape(len(DISTORTION_LEVELS), LEVELS, 48, 48, 3)[:, -1]
    assert len(np.unique(reference.reshape(len(DISTORTION_LEVELS), -1), axis=0)) == len(
        DISTORTION_LEVELS
    )


def test_batches_are_a_function_of_seed_and_step(paths):
    whole = _take(paths, 48, 3)
    np.testing.assert_array_equal(whole[2], _take(paths, 48, 1, first_step=2)[0])
    assert not np.array_equal(whole[0], _take(paths, 48, 1, seed=4)[0])
    assert not np.array_equal(whole[0], whole[1])


def test_devices_get_all_levels_of_other_images(paths):
    both = _take(paths, 48, 2, size=128, replicas=2)
    workers = [_take(paths, 48, 1, size=128, shard=shard, shards=2)[0] for shard in range(2)]
    np.testing.assert_array_equal(both, workers)
    wholes = {path: read_image(path) for path in paths}
    chosen = []
    for part in both:
        groups = part.reshape(len(DISTORTION_LEVELS), LEVELS, 128, 128, 3)
        found = [path for path, whole in wholes.items() if _inside(groups[0, -1], whole)]
        assert len(found) == 1
        for kind, name in enumerate(DISTORTION_LEVELS):
            made = versions(wholes[found[0]], name, noise_seed(found[0]))
            for level in range(LEVELS):
                assert _inside(groups[kind, level], made[level]), (name, level)
        chosen += found
    # Together they have the images that one device would have.
    (whole,) = _take(paths, 48, 1, size=128)
    groups = whole.reshape(len(DISTORTION_LEVELS), LEVELS, 2, 128, 128, 3)
    expected = [p for s in (0, 1) for p, w in wholes.items() if _inside(groups[0, -1, s], w)]
    assert chosen == expected
    assert chosen[0] != chosen[1]
    with pytest.raises(ValueError, match="a batch of 36 crops a device is no multiple of 24"):
        _take(paths, 72, 1, replicas=2)


def test_small_images_are_refused_by_name(paths):
    with pytest.raises(tf.errors.OpError, match=r"0\.png|1\.png|2\.png"):
        _take(paths, 24, 1, size=129)
    with pytest.raises(ValueError, match="size must be at least 1 pixel"):
        CropOptions(0)


# Losses.


@pytest.mark.parametrize(("name", "distortions", "levels"), [("live", 4, 6), ("tid2013", 9, 5)])
def test_the_hinge_is_the_official_one(name, distortions, levels, golden):
    """rankiqa_loss.npz: the authors' netloss_live.py and netloss_tid2013.py (commit 22ca65cd)."""
    numbers = golden("rankiqa_loss.npz")
    scores = tf.Variable(numbers[f"{name}_scores"])
    with tf.GradientTape() as tape:
        loss = losses.ranking_hinge(scores, distortions, levels, numbers[f"{name}_margin"])
    np.testing.assert_allclose(loss, numbers[f"{name}_loss"][0], atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, scores), numbers[f"{name}_grad"], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.floats(0, 20))
def test_the_hinge_is_a_sum_over_pairs(seed, slots, margin):
    scores = np.random.default_rng(seed).normal(0, 10, (2, 3, slots)).astype(np.float32)
    total = sum(
        max(0.0, margin - (scores[d, i, a] - scores[d, j, b]))
        for d in range(2)
        for i in range(3)
        for j in range(i + 1, 3)
        for a in range(slots)
        for b in range(slots)
    )
    loss = losses.ranking_hinge(tf.constant(scores.ravel()), 2, 3, margin)
    assert float(loss) == pytest.approx(total / scores.size, rel=1e-4, abs=1e-4)


def test_well_separated_scores_cost_nothing():
    scores = tf.constant(np.tile(np.repeat(np.arange(6, 0, -1) * 10.0, 2), 4), tf.float32)
    assert float(losses.ranking_hinge(scores)) == 0
    assert float(losses.ranking_hinge(-scores)) > 50
    with pytest.raises(ValueError, match="expected a multiple of 4 distortions x 6 levels"):
        losses.ranking_hinge(scores[:47])


def test_the_euclidean_loss_is_half_the_mean_square():
    assert float(losses.euclidean(tf.constant([1.0, 5.0]), tf.constant([3.0, 5.0]))) == 1.0


# Network.


def test_the_network_is_kerass_vgg16_on_bgr(random):
    """The same numbers through tf.keras.applications, whose ImageNet weights it takes."""
    network = RankIQA(patch=64, weights="random")
    application = tf.keras.applications.VGG16(weights=None, input_shape=(64, 64, 3))
    for layer in network.body.layers:
        application.get_layer(layer.label).set_weights([layer.kernel, layer.bias])
    features = tf.keras.Model(application.input, application.get_layer("fc2").output)
    image = random.uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    expected = features(image[..., ::-1]).numpy()
    made = network.body(tf.constant(image), None).numpy()
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_dropout_is_on_with_a_seed_only(random):
    network = RankIQA(2, 64, 32, "random")
    image = tf.constant(random.uniform(0, 255, (1, 32, 32, 3)), tf.float32)
    plain = network(image)
    one, again, other = (network(image, dropout_seed=tf.constant([1, s])) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert len({float(each[0]) for each in (plain, one, other)}) == 3


def test_bad_networks(tmp_path):
    with pytest.raises(ValueError, match="patch 32, got 4, 8 and 16"):
        RankIQA(4, 8, 16, "random")
    with pytest.raises(ValueError, match="weights 'imagenet' fit .* use weights 'random'"):
        RankIQA(4, 8, 32)
    with pytest.raises(BackboneError, match="of rankiqa: no such file; expected 'imagenet'"):
        RankIQA(weights="nowhere.h5")


# Scoring images.


class _Mean(tf.Module):
    """Scores a crop by its mean level, as a network would."""

    model_id, patch = "rankiqa", 32

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(1.0)

    def __call__(self, crops):
        return self.scale * tf.reduce_mean(crops, (1, 2, 3))

    def get_config(self):
        return {}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "export")
    Scorer.save(_Mean(), path, {"steps": 1})
    return path


def test_scores_are_the_networks(tmp_path, random):
    network = RankIQA(2, 8, 32, "random")
    Scorer.save(network, str(tmp_path / "export"), {})
    model = Scorer(str(tmp_path / "export"))
    crops = random.integers(0, 256, (1030, 32, 32, 3)).astype(np.uint8)  # more than at once
    np.testing.assert_allclose(
        model.score(crops), network(tf.cast(crops, tf.float32)), rtol=1e-4, atol=1e-3
    )
    assert model.patch == 32
    assert model.parameters == sum(v.shape.num_elements() for v in network.variables)


def test_table_2_has_mean_and_median_of_crops(export, images):
    model = Scorer(export)
    crops = random_crops(images[0], 32, 100, 7)
    found = model.table2(images[0], 7)
    means = crops.mean((1, 2, 3))
    assert found["mean"] == pytest.approx(means.mean(), abs=1e-3)
    assert found["median"] == pytest.approx(np.median(means), abs=1e-3)
    assert found == model.table2(images[0], 7)
    assert found != model.table2(images[0], 8)
    assert set(model.table2(images[0], 7, 3, "resize")) == {"resize_mean", "resize_median"}
    flat = np.full((40, 50, 3), 99, np.uint8)
    assert list(model.table2(flat).values()) == pytest.approx([99] * 4)


def test_crops_reach_all_places_and_whole_images(images):
    """The authors' code never takes the last row, and fails where the crop is the image."""
    rows = np.broadcast_to(np.arange(4, dtype=np.uint8)[:, None, None], (4, 3, 3))
    assert set(random_crops(rows, 3, 50, 0)[:, 0, 0, 0]) == {0, 1}
    square = images[0][:32, :32]
    np.testing.assert_array_equal(random_crops(square, 32, 2, 0), [square, square])
    with pytest.raises(ImageError, match="an image of 32x32 pixels has no crops of 33x33"):
        random_crops(square, 33, 1, 0)


def test_the_command_writes_scores_and_means(export, image_folder, tmp_path, capsys):
    flags = [f"--model={export}", "--num_crops=4", f"--out={tmp_path / 'scores.csv'}"]
    cli.main(["eval", "rankiqa", str(image_folder), *flags])
    with open(tmp_path / "scores.csv") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 3
    said = capsys.readouterr().out
    assert "| score, mean | score, median | score (resize), mean | score (resize), median |" in said
    names = ("mean", "median", "resize_mean", "resize_median")
    means = [np.mean([float(row[name]) for row in scores]) for name in names]
    assert [f"{mean:.2f}" for mean in means] == re.findall(r"\d+\.\d\d", said)


def test_bad_scoring(export, image_folder, tmp_path):
    def refused(kind, message, *arguments):
        with pytest.raises(kind, match=message):
            cli.main(["eval", "rankiqa", *arguments])

    Image.fromarray(np.zeros((31, 40, 3), np.uint8)).save(tmp_path / "small.png")
    model = f"--model={export}"
    refused(UsageError, "INPUT is needed", model)
    refused(UsageError, "--model is needed", str(image_folder))
    refused(ExportError, "no such folder", str(image_folder), "--model=nowhere")
    small = str(tmp_path / "small.png")
    refused(ImageError, r"smaller than the crops of 32x32 pixels: .*small.png", small, model)
    cli.main(["eval", "rankiqa", small, model, "--scoring=resize", "--num_crops=2"])


# Rank accuracy.


def test_accuracy_counts_pairs_of_levels():
    perfect = np.array([[3.0, 2, 1], [30, 20, 10]])
    assert rank_accuracy.accuracy(perfect, same=True) == 1
    assert rank_accuracy.accuracy(perfect) == pytest.approx(9 / 12)
    assert rank_accuracy.accuracy(-perfect, same=True) == 0
    assert rank_accuracy.accuracy(np.zeros((2, 3))) == 0.5
    assert rank_accuracy.srocc(np.array([[3.0, 2, 1]])) == 1
    assert rank_accuracy.srocc(np.zeros((2, 3))) == 0


def test_rank_accuracy_writes_rows_once(export, image_folder, tmp_path, capsys, monkeypatch):
    flags = [f"--model={export}", f"--data={image_folder}", "--budget=tiny", f"--out={tmp_path}"]
    cli.main(["eval", "rank_accuracy", *flags, "--num_crops=2"])
    found = read(tmp_path / "rank_accuracy.csv", schemas.RANK_ACCURACY.columns)
    said = capsys.readouterr().out
    assert len(found) == 2 * len(DISTORTION_LEVELS) == said.count("\n") - 2
    assert {row["paper"] for row in found} == {"mmd_restoration"}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in found)
    monkeypatch.setattr(rank_accuracy, "level_crops", None)  # nothing is measured again
    cli.main(["eval", "rank_accuracy", *flags, "--num_crops=2"])
    assert read(tmp_path / "rank_accuracy.csv") == found
    assert not (tmp_path / "rank_accuracy_superseded.csv").exists()
    for lacking in ("--model", "--budget", "--out"):
        with pytest.raises(UsageError, match=f"{lacking} is needed"):
            cli.main(["eval", "rank_accuracy", *(f for f in flags if lacking not in f)])


@pytest.mark.parametrize("changed", ["--num_crops=2", "--seed=1", "--budget=other"])
def test_rows_of_other_options_are_superseded(changed, export, image_folder, tmp_path):
    flags = [f"--model={export}", f"--data={image_folder}", "--budget=tiny", f"--out={tmp_path}"]
    cli.main(["eval", "rank_accuracy", *flags, "--num_crops=1"])
    before = read(tmp_path / "rank_accuracy.csv")
    cli.main(["eval", "rank_accuracy", *flags, "--num_crops=1", "--name=another"])
    assert len(read(tmp_path / "rank_accuracy.csv")) == 2 * len(before)  # another model's stay
    cli.main(["eval", "rank_accuracy", *flags, "--num_crops=1", changed])
    assert read(tmp_path / "rank_accuracy_superseded.csv") == before
    name, value = changed[2:].removeprefix("num_").split("=")
    mine = [r for r in read(tmp_path / "rank_accuracy.csv") if r["model"] == "RankIQA"]
    assert len(mine) == len(before)
    assert {row[name] for row in mine} == {value}
