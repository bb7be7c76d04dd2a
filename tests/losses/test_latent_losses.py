"""MMD, GEOCROSS and descent on spheres: parity with golden numbers, and properties.

golden/pulse.npz: numbers of adamian98/pulse 40cacb97 in PyTorch 2.13. mmd.npz beside the checkout:
a double loop over Eq. 7 in float64.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.inference.latent import optimizer as spherical
from lossylab.losses import mmd, pulse

MMD = pathlib.Path(lossylab.__file__).parent.parent / "shared" / "golden" / "mmd.npz"


@pytest.fixture(scope="module")
def cases():
    if not MMD.exists():
        pytest.skip(f"{MMD} is not here")
    return np.load(MMD)


@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize(("power", "suffix"), [(1, ""), (2, "_sq")])
def test_mmd_is_that_of_the_double_loop(cases, case, power, suffix):
    styles = tf.constant(cases[f"w_{case}"].astype(np.float64))[None]
    samples = cases[f"wbar_{case}"].astype(np.float64)
    term = mmd.prior_term(samples, power=power)
    with tf.GradientTape() as tape:
        tape.watch(styles)
        value = mmd.squared_mmd(styles, tf.constant(samples), term, power=power)
    assert float(value[0]) == pytest.approx(float(cases[f"mmd2{suffix}_{case}"]), abs=1e-10)
    gradient = tape.gradient(value, styles)[0]
    np.testing.assert_allclose(gradient, cases[f"grad{suffix}_{case}"], rtol=0, atol=1e-10)


def test_mmd_in_float32_keeps_its_digits(cases):
    styles, samples = (cases[name].astype(np.float32) for name in ("w_0", "wbar_0"))
    value = mmd.squared_mmd(tf.constant(styles)[None], samples, mmd.prior_term(samples))
    assert float(value[0]) == pytest.approx(float(cases["mmd2_0"]), abs=2e-6)


def test_mmd_of_the_samples_themselves_is_zero_and_each_image_stands_alone(random):
    samples = random.normal(size=(12, 5)).astype(np.float32)
    term = mmd.prior_term(samples, 2.0)
    far = samples + 3
    both = mmd.squared_mmd(tf.constant(np.stack([samples, far])), samples, term, 2.0)
    assert float(both[0]) == pytest.approx(0, abs=1e-6)
    assert float(both[1]) > 0.1
    alone = mmd.squared_mmd(tf.constant(far)[None], samples, term, 2.0)
    assert float(alone[0]) == pytest.approx(float(both[1]), rel=1e-5)


@pytest.mark.parametrize(
    ("count", "gamma", "power", "message"),
    [(1, 1.0, 1, "at least two"), (3, 0.0, 1, "gamma"), (3, 1.0, 3, "power")],
)
def test_the_prior_refuses_what_has_no_mmd(count, gamma, power, message):
    with pytest.raises(ValueError, match=message):
        mmd.prior_term(np.zeros((count, 2)), gamma, power)


def test_geocross_is_the_official_one(golden):
    stored = golden("pulse.npz")
    latents = tf.constant(stored["geocross_latent"])
    with tf.GradientTape() as tape:
        tape.watch(latents)
        values = pulse.geocross(latents)
    np.testing.assert_allclose(values, stored["geocross_per_item"], rtol=1e-5)
    np.testing.assert_allclose(
        tape.gradient(values, latents), stored["geocross_grad"], atol=1e-5 * 0.051
    )


def test_squared_error_is_of_levels_divided_by_255():
    made = tf.constant(np.full((2, 4, 4, 3), [[[[100.0]]], [[[151.0]]]], np.float32))
    np.testing.assert_allclose(
        pulse.squared_error(tf.fill((2, 4, 4, 3), 151.0), made), [0.04, 0.0], rtol=1e-6
    )


def test_styles_that_are_no_numbers_have_no_discrepancy(random):
    samples = random.normal(size=(4, 3)).astype(np.float32)
    broken = tf.fill((1, 2, 3), float("nan"))
    assert np.isnan(mmd.squared_mmd(broken, samples, mmd.prior_term(samples))[0])


@pytest.mark.parametrize("schedule", spherical.SCHEDULES)
def test_schedules_are_the_official_ones(golden, schedule):
    expected = golden("pulse.npz")[f"lr_mult_{schedule}_100"]
    found = [spherical.multiplier(schedule, step, 100) for step in range(101)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_unknown_schedule():
    with pytest.raises(ValueError, match="fixed, linear1cycle, linear1cycledrop"):
        spherical.multiplier("cosine", 0, 10)


@pytest.mark.parametrize(
    ("name", "steps"), [("sph_adam", 100), ("sph_sgd", 100), ("sph_adam10", 10)]
)
def test_trajectories_on_spheres_are_the_official_ones(golden, name, steps):
    stored = golden("pulse.npz")

    def of(key):
        return stored[f"{name}_{key}"]

    latents = tf.Variable(of("lat0"))
    noise = tf.Variable(of("noise0").transpose(0, 2, 3, 1))
    noise_target = of("noise_target").transpose(0, 2, 3, 1)
    descent = spherical.SphericalOptimizer([latents, noise], [(2,), (1, 2, 3)], adam="adam" in name)
    np.testing.assert_allclose(descent.radii[0], of("radii_lat"), rtol=1e-6)
    for step, (expected, expected_noise) in enumerate(zip(of("lat"), of("noise"))):
        rate = 0.4 * spherical.multiplier("linear1cycledrop", step, steps)
        assert rate == pytest.approx(of("lr")[step])
        with tf.GradientTape() as tape:
            loss = 0.5 * tf.reduce_sum(of("coef") * tf.square(latents - of("lat_target")))
            loss += 0.5 * tf.reduce_sum(tf.square(noise - noise_target))
        assert float(loss) == pytest.approx(of("loss")[step], rel=1e-5)
        descent.apply(tape.gradient(loss, [latents, noise]), rate)
        np.testing.assert_allclose(latents, expected, atol=1e-5)
        np.testing.assert_allclose(noise.numpy().transpose(0, 3, 1, 2), expected_noise, atol=1e-5)


def test_a_radius_can_be_given(random):
    """Then a variable may begin at the center itself."""
    center = random.normal(size=3).astype(np.float32)
    variable = tf.Variable(np.tile(center, (1, 2, 1)))
    descent = spherical.SphericalOptimizer([variable], [(2,)], [center], [2.0])
    descent.apply([tf.constant(random.normal(size=(1, 2, 3)), tf.float32)], 0.1)
    np.testing.assert_allclose(np.linalg.norm(variable - center, axis=2), 2.0, rtol=1e-4)


def test_norms_are_kept_about_a_center_or_let_go(random):
    center = random.normal(size=3).astype(np.float32)
    start = random.normal(size=(2, 4, 3)).astype(np.float32)
    kept, free = tf.Variable(start), tf.Variable(start)
    descent = spherical.SphericalOptimizer([kept, free], [(2,), None], [center, 0.0])
    for _ in range(3):
        descent.apply([tf.ones_like(kept), tf.ones_like(free)], 0.5)
    before = np.linalg.norm(start - center, axis=2)
    np.testing.assert_allclose(np.linalg.norm(kept - center, axis=2), before, rtol=1e-4)
    np.testing.assert_allclose(free, start - 1.5, rtol=1e-4)
