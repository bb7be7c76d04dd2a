"""The search in latent space: what it keeps, what it finds, what it refuses."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from lengths import long_but

from lossylab.data.scaling import scaled
from lossylab.eval.latent_rows import ROWS
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent import gaussian_file
from lossylab.inference.latent import prior as latent_space
from lossylab.inference.latent.prior import Prior
from lossylab.inference.latent.search import Search
from lossylab.inference.latent.settings import PULSE, Settings
from lossylab.losses import mmd, pulse
from lossylab.models import stylegan

FIT = 4096


@functools.cache
def generator(version=2):
    sizes = {"latent": 12, "mapping": 16, "width": 16, "depth": 3}
    return stylegan.random(version, 16, seed=3, fmap_base=64, fmap_max=8, **sizes)


@functools.cache
def prior(version=2, seed=0):
    return Prior(generator(version), 64, FIT, seed)


@functools.cache
def case(version=2):
    return list(latent_cases.generated(generator(version), 2, 0, 1.0))


def given(version=2, count=1):
    images = [scaled(each.clean, 8) for each in case(version)[:count]]
    return np.stack(images)


def search(settings, version=2, count=1, nll=None):
    return Search(generator(version), prior(version), settings, given(version, count), nll)


def short(settings=None, **changes):
    return dataclasses.replace(settings or Settings(), **{"steps": 12, "samples": 64, **changes})


@pytest.mark.parametrize("version", [1, 2])
def test_pulses_gaussian_has_the_styles_moments(version):
    """Normal latents through it have about the mean and spread of mapped ones."""
    mine = prior(version)
    drawn = mine.styles(tf.random.stateless_normal((4000, generator(version).width), (1, 2)))
    assert np.array_equal(mine.gaussian, prior(version, 1).gaussian)  # PULSE has one fit
    mapped = generator(version).map(
        tf.random.stateless_normal((4000, generator(version).latent), (3, 4))
    )
    spread = np.std(mapped, 0).mean()
    np.testing.assert_allclose(np.mean(drawn, 0), np.mean(mapped, 0), atol=0.15 * spread)
    np.testing.assert_allclose(np.std(drawn, 0).mean(), spread, rtol=0.15)
    mean, deviation = mine.gaussian
    linear = np.where(mapped > 0, mapped, 5 * np.asarray(mapped))
    np.testing.assert_allclose(mean, linear.mean(0), atol=5 * (linear.std(0) / 45).max())
    np.testing.assert_allclose(deviation, linear.std(0), rtol=0.15)


def test_pulses_gaussian_is_kept_beside_the_generator(tmp_path, monkeypatch):
    file = gaussian_file.beside(str(tmp_path / "v2.npz"))
    fitted = Prior(generator(), 64, FIT, 0, file).gaussian
    np.testing.assert_array_equal(fitted, prior().gaussian)
    assert (tmp_path / "v2.gaussian.npz").exists()
    calls = []
    fit = Prior._fitted
    monkeypatch.setattr(Prior, "_fitted", lambda self: calls.append(1) or fit(self))
    np.testing.assert_array_equal(Prior(generator(), 64, FIT, 1, file).gaussian, fitted)
    assert not calls
    _ = Prior(generator(), 64, 100, 0, file).gaussian  # of another number of samples
    _ = Prior(generator(1), 64, 100, 0, file).gaussian  # of another generator
    (tmp_path / "v2.gaussian.npz").write_bytes(b"PK damaged")
    _ = Prior(generator(1), 64, 100, 0, file).gaussian
    assert len(calls) == 3
    _ = Prior(generator(), 64, 100, 0, str(tmp_path / "v2.gaussian.npz" / "a.npz")).gaussian


@pytest.mark.long
def test_one_latent_can_be_searched_for_in_all_layers():
    for settings in (short(tile_latent=True), short(PULSE, tile_latent=True)):
        found = search(settings).run().last
        np.testing.assert_array_equal(found.styles, found.styles[:, :1].repeat(6, 1))
    assert np.ptp(search(short()).run().last.styles, axis=1).max() > 0


@pytest.mark.parametrize(("noise", "count"), [("trainable", 3), ("fixed", 0), ("zero", 0)])
def test_noise_is_searched_for_drawn_or_zero(noise, count):
    made = search(short(noise=noise, noise_layers=3))
    trained = [each for each in made._noise if isinstance(each, tf.Variable)]
    assert len(trained) == count
    assert not np.any(made._noise[-1])
    assert np.any(made._noise[0]) == (noise != "zero")
    assert len(made._noise) == len(generator().noise)


def test_later_settings_name_nothing_at_their_defaults():
    """So rows and reports of earlier versions are found again."""
    settings = Settings()
    assert settings.identity == dataclasses.astuple(settings)[:-2]
    names = {
        settings.identity,
        Settings(noise="zero").identity,
        Settings(tile_latent=True).identity,
    }
    assert len(names) == 3


def test_the_prior_is_a_function_of_its_seed():
    again, other = Prior(generator(), 64, FIT, 0), prior(2, 1)
    np.testing.assert_array_equal(again.samples, prior().samples)
    np.testing.assert_array_equal(again.mean, prior().mean)
    assert np.abs(other.samples - again.samples).max() > 0.1


def test_discrepancies_of_several_kernels_keep_apart():
    mine = prior()
    styles = tf.constant(mine.draw(4, 5)[None])
    for gamma, power in ((100.0, 1), (10.0, 1), (100.0, 2), (100.0, 1)):
        term = mmd.prior_term(mine.samples, gamma, power)
        expected = mmd.squared_mmd(styles, mine.samples, term, gamma, power)
        np.testing.assert_array_equal(mine.discrepancy(styles, gamma, power), expected)


def test_no_two_purposes_share_numbers():
    counts = [(i, j) for i in (0, 1, 2, 1000) for j in (0, 1, 2, 1000)]
    seeds = {
        tuple(latent_space.key(purpose, *numbers))
        for purpose in latent_space._PURPOSES
        for numbers in counts
    }
    assert len(seeds) == len(counts) * len(latent_space._PURPOSES)


def test_nineteen_of_twenty_perfect_sets_meet_the_threshold():
    layers, mine = generator().num_layers, prior()
    threshold, term = mine.threshold(layers), mmd.prior_term(mine.samples)
    sets = np.stack([mine.draw(layers, seed) for seed in range(100)])
    values = np.concatenate(
        [mmd.squared_mmd(tf.constant(each[None]), mine.samples, term) for each in sets]
    )
    assert 0.85 < np.mean(values <= threshold) < 1
    mean = np.repeat(mine.mean[None, None], layers, 1)
    assert float(mmd.squared_mmd(tf.constant(mean), mine.samples, term)[0]) > threshold


@pytest.mark.parametrize(
    "name", long_but(["1", "5"], [name for name, row in ROWS.items() if not row.epochs])
)
def test_every_row_of_table_2_goes_down(name):
    row = ROWS[name]
    result = search(short(row.settings, steps=15, learning_rate=0.1), row.version, 2).run()
    assert all(np.isfinite(values).all() for values in result.history.values())
    assert (result.best.losses["total"] < result.history["total"][0]).all()
    assert result.last.images.shape == (2, 16, 16, 3)


@pytest.mark.long
def test_styles_keep_their_norms_about_the_origin_or_the_mean():
    mean = prior().mean
    norms = search(short()).run().history["norm"]
    np.testing.assert_allclose(norms, np.linalg.norm(mean), rtol=1e-4)
    for mean_init in (True, False):
        result = search(short(sphere="mean", mean_init=mean_init)).run()
        radii = np.linalg.norm(result.last.styles - mean, axis=2)
        np.testing.assert_allclose(radii, prior().radius(mean), rtol=1e-3)
        assert result.history["pixel"][-1] < result.history["pixel"][0]
    free = search(short(sphere="none", mean_init=False)).run().history["norm"]
    assert np.ptp(free) > 1e-2


@pytest.mark.long
def test_pulses_latents_keep_theirs_before_the_gaussian():
    mine = search(short(PULSE))
    before = np.linalg.norm(mine._latents, axis=2)
    mine.run()
    np.testing.assert_allclose(np.linalg.norm(mine._latents, axis=2), before, rtol=1e-4)


def test_what_is_reported_is_one_iterate():
    """Styles and image belong together, and to the losses: the first is the beginning."""
    result = search(short(steps=1, noise_layers=0)).run()
    np.testing.assert_allclose(result.last.styles[0, 0], prior().mean, rtol=1e-6)
    assert result.history["angle"][0] == pytest.approx(0, abs=0.05)
    assert result.history["geocross"][0] == pytest.approx(0, abs=1e-6)


def test_a_search_from_the_mean_has_finite_gradients_and_leaves_it():
    """All styles begin equal, where a norm has no gradient."""
    result = search(short(steps=3, geocross_weight=0.0)).run()
    assert result.history["angle"][-1] > 1
    assert np.isfinite(result.last.styles).all()


def test_the_constraint_brings_styles_nearer_to_the_prior():
    with_it = search(short(steps=40, mean_init=False)).run().history["mmd"][-1]
    without = search(short(steps=40, mean_init=False, mmd_weight=0.0)).run().history["mmd"][-1]
    assert with_it < without


@pytest.mark.long
def test_images_of_a_batch_do_not_see_each_other():
    alone = search(short()).run()
    both = search(short(), count=2).run()
    np.testing.assert_allclose(both.last.styles[0], alone.last.styles[0], atol=2e-3)
    np.testing.assert_allclose(both.last.images[0], alone.last.images[0], atol=1.0)


def test_below_epsilon_the_squared_error_has_no_gradient():
    """PULSE's threshold: a search with nothing else stays where it is."""
    only = {"geocross_weight": 0.0, "mmd_weight": 0.0, "noise_layers": 0, "mean_init": False}
    history = search(short(epsilon=1e3, **only)).run().history
    np.testing.assert_allclose(history["angle"], np.zeros((12, 1)), atol=0.05)  # arccos of 1
    np.testing.assert_allclose(history["total"], 1e5, rtol=1e-6)
    assert (history["pixel"] < 1).all()


def test_the_stored_mean_can_be_begun_with():
    start = search(short(steps=1, mean="stored")).run().last.styles[0, 0]
    np.testing.assert_allclose(start, generator().mean, rtol=1e-6)


@pytest.mark.long
def test_the_same_seed_finds_the_same_and_another_does_not():
    one, again = (search(short(mean_init=False)).run() for _ in range(2))
    np.testing.assert_array_equal(one.last.images, again.last.images)
    other = search(short(mean_init=False, seed=1)).run()
    assert np.abs(one.last.styles - other.last.styles).max() > 0.1


def test_the_best_iterate_is_kept_for_each_image():
    seen = []
    result = search(short(learning_rate=3.0), count=2).run(
        lambda last, best: seen.append(best.copy())
    )
    totals = result.history["total"]
    np.testing.assert_array_equal(result.best.steps, totals.argmin(0))
    np.testing.assert_allclose(result.best.losses["total"], totals.min(0))
    assert len(seen) == 12
    np.testing.assert_array_equal(result.last.steps, 11)


def test_the_coarsest_noise_is_searched_for_and_the_finest_is_zero():
    mine = search(short(noise_layers=2, mean_init=False))
    before = [np.array(noise) for noise in mine._noise]
    mine.run()
    changed = [np.abs(a - b).max() > 1e-3 for a, b in zip(before, mine._noise)]
    assert changed == [True, True, False, False, False]
    assert not before[-1].any()
    all_of_them = search(short(noise_layers=99))._noise
    assert [isinstance(noise, tf.Variable) for noise in all_of_them] == [True] * 4 + [False]
    assert not np.any(all_of_them[-1])
    for a, b in zip(before, mine._noise):
        np.testing.assert_allclose(np.linalg.norm(a), np.linalg.norm(b), rtol=1e-4)


def test_the_likelihood_steers_the_search_through_its_condition():
    """A stand-in that is content when the found image is dark."""

    def dark(degraded, condition):
        assert degraded.shape == condition.shape == (1, 8, 8, 3)
        return tf.reduce_mean(condition, (1, 2, 3)) / 100

    settings = short(pixel_weight=0.0, nll_weight=50.0, geocross_weight=0.0, mmd_weight=0.0)
    values = search(settings, nll=dark).run().history["nll"]
    assert values[-1] < values[0] - 0.01
    with pytest.raises(ValueError, match="needs a degradation model"):
        search(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "x"}, "`space` is one of"),
        ({"schedule": "x"}, "`schedule` is one of"),
        ({"power": 3}, "`power` is one of"),
        ({"gamma": 0.0}, "`gamma` must be above 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` and `gamma` must be above 0"),
        ({"seed": 2**31}, "`seed` must lie in"),
        ({"samples": 1}, "`samples` at least 2"),
        ({"space": "z"}, "mean belongs to W"),
        ({"pixel_weight": 0.0, "geocross_weight": 0.0, "mmd_weight": 0.0}, "nothing is searched"),
        ({"steps": 0}, "at least 1"),
    ],
)
def test_settings_that_contradict_each_other(changes, message):
    with pytest.raises(ValueError, match=message):
        short(**changes)


@pytest.mark.parametrize(
    "shape", [(1, 8, 4, 3), (1, 5, 5, 3), (1, 8, 8, 1), (1, 32, 32, 3), (1, 1, 1, 3)]
)
def test_images_that_do_not_fit_the_generator(shape):
    with pytest.raises(ValueError, match="a side that divides 16"):
        Search(generator(), prior(), short(), np.zeros(shape))


def test_a_loss_that_is_not_finite_stops_the_search():
    def broken(degraded, condition):
        return tf.reduce_mean(condition, (1, 2, 3)) * float("nan")

    with pytest.raises(FloatingPointError, match="step 0: a loss is not finite"):
        search(short(nll_weight=1.0), nll=broken).run()


def test_settings_are_the_papers():
    settings = Settings()
    assert (settings.steps, settings.samples, settings.gamma) == (100, 1000, 512)
    assert (settings.space, settings.mean_init, settings.sphere) == ("w", True, "origin")
    assert (PULSE.pixel_weight, PULSE.geocross_weight, PULSE.learning_rate) == (100, 0.05, 0.4)
    assert (PULSE.epsilon, PULSE.noise_layers, PULSE.schedule) == (2e-3, 5, "linear1cycledrop")
    assert PULSE.epsilon == pulse.EPSILON
