"""What makes ProxIQA's proxy learn, and how it is judged."""

import csv
import json

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from lossylab.core.errors import UsageError
from lossylab.data.schedule import Stream
from lossylab.losses import proxiqa as losses
from lossylab.models.proxiqa import ProxIQA
from lossylab.train import proxiqa
from lossylab.train.loop.optimizers import scheduled
from lossylab.train.proxiqa import ProxiqaOptions
from lossylab.train.proxiqa_draws import Draws
from lossylab.train.proxy_quality import proxy_quality, weighted_std

SMALL = {
    "train_data": "sample_train",
    "filters": 4,
    "batch": 2,
    "patch": 32,
    "steps": 2,
    "log_every": 1,
    "summary_every": 0,
}


def _pairs(count=3):
    for number in range(count):
        both = tf.random.stateless_uniform((2, 4, 16, 16, 3), (number, 1), 0.0, 255.0)
        noise = tf.reshape(tf.range(1.0, 5.0) + number, (4, 1, 1, 1))
        yield both[0], both[0] + noise * (both[1] - both[0]) / 10


def _error(reference, distorted):
    return -tf.reduce_mean(tf.square(reference - distorted), (1, 2, 3))


def test_the_metric_itself_is_a_perfect_proxy_and_a_constant_is_none():
    perfect = proxy_quality(_error, _error, _pairs(), _error)
    assert perfect["proxy_correlation"] == pytest.approx(1)
    assert perfect["proxy_rmse"] == 0
    assert perfect["proxy_cosine"] == pytest.approx(1, abs=1e-6)
    # Of errors of e levels, one level less: e^2 - (e - 1)^2, where no pixel is clipped.
    sizes = np.sqrt(-np.concatenate([_error(*pair) for pair in _pairs()]))
    assert perfect["proxy_rise"] == pytest.approx(np.mean(2 * sizes - 1), rel=1e-4)
    mean = np.mean(-(sizes**2))
    constant = proxy_quality(lambda a, b: 0 * b[:, 0, 0, 0] + mean, _error, _pairs())
    assert constant["proxy_correlation"] == 0
    assert constant["proxy_rise"] == 0
    assert constant["proxy_rmse"] == pytest.approx(constant["score_std"], rel=1e-5)
    opposite = proxy_quality(lambda a, b: -_error(a, b), _error, _pairs(), _error)
    assert opposite["proxy_correlation"] == pytest.approx(-1)
    assert opposite["proxy_rise"] < 0
    assert opposite["proxy_cosine"] == pytest.approx(-1, abs=1e-6)


def test_beginning_with_differences_no_content_decides_the_score():
    proxy = ProxIQA(32)
    proxy.dense_bias.assign([85.0])
    proxy.begin_with_differences()
    for reference, distorted in _pairs():
        reference, distorted = (tf.image.resize(x, (32, 32)) for x in (reference, distorted))
        assert np.all(proxy((reference, distorted)) == 85)
    proxy.dense.assign(tf.random.stateless_normal(proxy.dense.shape, (1, 2)))
    gray = (tf.fill((1, 32, 32, 3), level) for level in (0.0, 99.0))
    equal = [float(proxy((x, x))[0]) for x in gray]
    assert equal[0] == pytest.approx(equal[1], abs=1e-3)


def test_errors_of_a_share_are_scaled_by_places():
    draws, step = Draws(seed=1, batch=256), tf.constant(7, tf.int64)
    image = tf.fill((256, 16, 16, 3), 100.0)
    scales = [
        draws.scaled(image, image + 10, step, 1.5, share).numpy() / 10 - 10
        for share in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_allclose(scales[0], 1, atol=1e-5)
    assert np.mean(np.abs(scales[1] - 1).max((1, 2, 3)) < 1e-5) == pytest.approx(0.5, abs=0.1)
    assert scales[2].min() == pytest.approx(-0.5, abs=0.05)
    assert scales[2].max() == pytest.approx(2.5, abs=0.05)
    assert scales[2].mean() == pytest.approx(1, abs=0.1)
    assert scales[2][0].std() > 0.3


def test_adversarial_pairs_go_along_the_slope_by_levels(random):
    draws, step = Draws(seed=1, batch=256), tf.constant(7, tf.int64)
    image = tf.fill((256, 8, 8, 3), 100.0)
    slope = tf.constant(random.normal(size=image.shape), tf.float32)
    kept, half, all_ = (
        (draws.adversarial(image, slope, step, 3.0, share) - image).numpy()
        for share in (0.0, 0.5, 1.0)
    )
    assert not kept.any()
    assert np.mean(np.abs(half).max((1, 2, 3)) == 0) == pytest.approx(0.5, abs=0.1)
    size = np.sqrt((slope.numpy() ** 2).mean((1, 2, 3)))
    levels = (all_ * slope.numpy()).mean((1, 2, 3)) / size
    np.testing.assert_allclose(
        all_, slope.numpy() * (levels / size)[:, None, None, None], atol=1e-3
    )
    assert levels.min() == pytest.approx(-3, abs=0.1)
    assert levels.max() == pytest.approx(3, abs=0.1)
    assert levels.mean() == pytest.approx(0, abs=0.3)
    flat = draws.adversarial(image, tf.zeros_like(image), step, 3.0, 1.0)
    np.testing.assert_array_equal(flat, image)


def test_a_share_is_sharpened_or_blurred_by_places(random):
    draws, step = Draws(seed=1, batch=256), tf.constant(7, tf.int64)
    flat = tf.fill((256, 16, 16, 3), 100.0)
    np.testing.assert_allclose(draws.sharpened(flat, step, 4.0, 1.0), flat, atol=1e-3)
    image = tf.constant(random.uniform(90, 110, (256, 16, 16, 3)), tf.float32)
    np.testing.assert_array_equal(draws.sharpened(image, step, 4.0, 0.0), image)
    half = np.abs(draws.sharpened(image, step, 4.0, 0.5) - image).max((1, 2, 3))
    assert np.mean(half == 0) == pytest.approx(0.5, abs=0.1)
    kernel = np.multiply.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    mean = scipy.ndimage.correlate(image.numpy(), kernel[None, :, :, None], mode="reflect")
    made = draws.sharpened(image, step, 4.0, 1.0).numpy()
    detail = image.numpy() - mean
    strength = np.where(np.abs(detail) > 2, (made - image.numpy()) / detail, np.nan)
    assert np.nanmin(strength) == pytest.approx(-4, abs=0.1)
    assert np.nanmax(strength) == pytest.approx(4, abs=0.1)
    assert np.nanmean(strength) == pytest.approx(0, abs=0.2)
    assert np.nanstd(strength[0]) > 0.5


def test_masks_tell_which_pairs_are_altered(random):
    draws, share = Draws(seed=1, batch=64), 0.5
    image = tf.constant(random.uniform(90, 110, (64, 16, 16, 3)), tf.float32)
    distorted = image + 10
    for step in tf.range(3, dtype=tf.int64):
        scaled = draws.scaled(image, distorted, step, 1.0, share) - distorted
        sharpened = draws.sharpened(image, step, 4.0, share) - image
        moved = draws.adversarial(image, image, step, 2.0, share) - image
        masks = [
            draws.is_altered(stream, image, step, share)
            for stream in (Stream.ERROR_SCALE, Stream.SHARPENING, Stream.ADVERSARIAL)
        ]
        assert not np.array_equal(masks[0], masks[1])
        assert not np.array_equal(masks[0], masks[2])
        for change, mask in zip((scaled, sharpened, moved), masks):
            np.testing.assert_array_equal(np.abs(change).max((1, 2, 3)) > 1e-3, mask)


_ALTERED = {"scale_errors": 1.0, "sharpen": 2.0, "adversarial": 2.0}


class _Oracle:
    """Scores pairs by their distance, so that each has another score."""

    def submit(self, ticket, reference, distorted):
        pass

    def collect(self, ticket, reference, distorted):
        return tf.reduce_mean(tf.abs(reference - distorted), (1, 2, 3))


def _task(tmp_path, monkeypatch, **more):
    monkeypatch.setattr(proxiqa, "libvmaf_oracle", lambda metric: _Oracle())
    options = {**SMALL, "metric": "ssim", "batch": 8, "run_dir": str(tmp_path), **more}
    return proxiqa.ProxIQATask(ProxiqaOptions(**options), proxiqa.Files(["a.png"], []))


def _of_the_codec(task, batch, step):
    """Scores of what the codec makes of a step's patches."""
    coded = task._coded(batch, tf.constant(step, tf.int64))
    return _Oracle().collect(None, batch, coded).numpy()


@pytest.mark.parametrize("oracle", ["sequential", "overlapped"])
def test_scores_are_reported_of_the_codecs_pairs_alone(oracle, tmp_path, monkeypatch, random):
    task = _task(tmp_path, monkeypatch, oracle=oracle, altered_share=0.2, **_ALTERED)
    batches = tf.constant(random.uniform(0, 255, (3, 8, 32, 32, 3)), tf.float32)
    kept, scores = [], []
    for number, batch in enumerate(batches):
        step = tf.constant(number, tf.int64)
        draws = task._draws
        altered = draws.identical(batch, step)
        for stream in (Stream.ERROR_SCALE, Stream.SHARPENING, Stream.ADVERSARIAL):
            altered |= draws.is_altered(stream, batch, step, 0.2)
        kept.append(~altered.numpy())
        assert 0 < kept[-1].sum() < 8
        scores.append(_of_the_codec(task, batch, number))
        report = task.step(batch, step)
        shown = max(number - 1, 0) if oracle == "overlapped" else number
        mine = scores[shown][kept[shown]]
        assert float(report["score"]) == pytest.approx(mine.mean(), rel=1e-4)
        assert float(report["score_std"]) == pytest.approx(mine.std(), rel=1e-3, abs=1e-3)


def test_adversarial_pairs_go_along_the_proxys_own_gradient(tmp_path, monkeypatch, random):
    """And change nothing of what the codec learns in that step."""
    given = {"oracle": "sequential", "identical_pairs": False, "altered_share": 1.0}
    task = _task(tmp_path, monkeypatch, adversarial=2.0, proxy_bias=50.0, **given)
    image, distorted = tf.constant(random.uniform(80, 170, (2, 8, 32, 32, 3)), tf.float32)
    step = tf.constant(3, tf.int64)
    with tf.GradientTape() as tape:
        tape.watch(distorted)
        score = task.proxy((image, distorted))
    slope = tape.gradient(score, distorted).numpy()
    change = (task._shown(image, distorted, step) - distorted).numpy()
    for one, other in zip(change.reshape(8, -1), slope.reshape(8, -1)):
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert abs(cosine) == pytest.approx(1, abs=1e-3)
        assert np.sqrt(np.mean(one**2)) <= 2.001
    learned = task.learn(image, step)
    task._shown = lambda image, distorted, step: distorted
    plain = task.learn(image, step)
    for one, other in zip(learned["codec"], plain["codec"]):
        np.testing.assert_array_equal(one, other)
    assert any(np.abs(a - b).max() > 0 for a, b in zip(learned["proxy"], plain["proxy"]))


def test_a_frozen_proxy_sees_the_codecs_pairs_alone(tmp_path, monkeypatch, random):
    frozen = {"optimize": "frozen_proxy", "proxy_from": "x", "oracle": "sequential"}
    task = _task(tmp_path, monkeypatch, altered_share=1.0, **_ALTERED, **frozen)
    batch = tf.constant(random.uniform(0, 255, (8, 32, 32, 3)), tf.float32)
    scores = _of_the_codec(task, batch, 0)
    assert float(task.step(batch, tf.constant(0, tf.int64))["score"]) == pytest.approx(
        scores.mean(), rel=1e-4
    )


@pytest.mark.parametrize("oracle", ["sequential", "overlapped"])
def test_ssim_of_means_is_scored_of_means_alone(oracle, tmp_path, monkeypatch, random):
    """The proxy sees whole patches."""
    task = _task(tmp_path, monkeypatch, oracle=oracle, patch=64, ssim_scale=2)
    sizes = {"submit": [], "collect": []}
    for name, seen in sizes.items():
        given = getattr(task._oracle, name)

        def spy(ticket, *pair, given=given, seen=seen):
            seen.extend(part.shape[1:3] for part in pair)
            return given(ticket, *pair)

        monkeypatch.setattr(task._oracle, name, spy)
    image, other = tf.constant(random.uniform(0, 255, (2, 8, 64, 64, 3)), tf.float32)
    report = task.step(image, tf.constant(0, tf.int64))
    assert np.isfinite(report["loss"])
    assert sizes["collect"] == [(32, 32)] * 2
    assert sizes["submit"] == ([(32, 32)] * 2 if oracle == "overlapped" else [])
    direct = _task(tmp_path, monkeypatch, optimize="direct", patch=64, ssim_scale=2)
    halved = [losses.coarser(part, 2) for part in (image, other)]
    expected = 100 * (1 - tf.image.ssim(*halved, 255.0))
    np.testing.assert_allclose(direct._perceptual(image, other, 1.0), expected, rtol=1e-5)


def test_a_batch_without_a_pair_of_the_codec_has_no_score_of_zero(tmp_path, monkeypatch, random):
    """As a batch of one whose pair is altered: then all are reported."""
    task = _task(
        tmp_path, monkeypatch, batch=1, sharpen=2.0, altered_share=1.0, oracle="sequential"
    )
    batch = tf.constant(random.uniform(0, 255, (1, 32, 32, 3)), tf.float32)
    seen = [task.learn(batch, tf.constant(step, tf.int64)) for step in range(4)]
    assert not any(learned["kept"].numpy().any() for learned in seen)
    true = [float(learned["scores"]["score"][0]) for learned in seen]
    assert max(true) > 0
    reported = [float(task.change(learned)["score"]) for learned in seen]
    assert reported == pytest.approx(true)


@pytest.mark.long
def test_a_proxy_that_learns_by_all_means_and_is_judged(tmp_path):
    common = {**SMALL, "validation_data": "sample_test"}
    base = tmp_path / "base"
    proxiqa.train(ProxiqaOptions(**SMALL, metric="mse", checkpoint_every=1, run_dir=str(base)))
    proxiqa.train(
        ProxiqaOptions(
            **common,
            metric="ssim",
            optimize="pretrain_proxy",
            init_from=str(base),
            versions=2,
            **_ALTERED,
            proxy_bias=85.0,
            proxy_differences=True,
            proxy_optimizer="muon",
            validate_every=2,
            proxy_patches=4,
            run_dir=str(tmp_path / "proxy"),
        )
    )
    with open(tmp_path / "proxy" / "validation.csv") as file:
        (row,) = csv.DictReader(file)
    judged = {"proxy_correlation", "proxy_rmse", "proxy_rise", "proxy_cosine"}
    assert set(row) == {"step", "score_std", *judged}
    with pytest.raises(UsageError, match="`versions`=9: .* has 2 checkpoints"):
        proxiqa.train(
            ProxiqaOptions(
                **SMALL,
                metric="ssim",
                optimize="pretrain_proxy",
                init_from=str(base),
                versions=9,
                run_dir=str(tmp_path / "more"),
            )
        )


def test_the_mean_of_the_weights_is_exported_and_the_rate_decays(tmp_path, monkeypatch):
    exported = []
    monkeypatch.setattr(proxiqa.Codec, "save", lambda codec, *_: exported.append(codec))
    options = ProxiqaOptions(
        **{
            **SMALL,
            "metric": "mse",
            "average": 0.5,
            "learning_rate": 1e-2,
            "final_learning_rate": 1e-3,
        },
        run_dir=str(tmp_path / "run"),
    )
    proxiqa.train(options)
    saved = tf.train.load_checkpoint(str(tmp_path / "run" / "checkpoints"))
    name = "{}/analysis_transform/layers/0/bias/.ATTRIBUTES/VARIABLE_VALUE"
    last, mean = (saved.get_tensor(name.format(part)) for part in ("codec", "mean"))
    assert np.any(last != mean)
    np.testing.assert_array_equal(exported[0].analysis_transform.layers[0].bias, mean)
    rate = scheduled(options, 1.0)
    assert float(rate(0)) == pytest.approx(1e-2)
    assert float(rate(options.steps)) == pytest.approx(1e-3)
    assert json.loads((tmp_path / "run" / "options.json").read_text())["average"] == 0.5


def test_the_standard_deviation_is_that_of_what_counts(random):
    values = tf.constant(random.normal(50, 9, 8), tf.float32)
    np.testing.assert_allclose(weighted_std(values, tf.fill(8, 1 / 8)), np.std(values), rtol=1e-5)
    kept = tf.constant([0, 0] + [1 / 6] * 6, tf.float32)
    np.testing.assert_allclose(weighted_std(values, kept), np.std(values[2:]), rtol=1e-5)
