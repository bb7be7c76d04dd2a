"""data.schedule: workers and devices part every batch, wherever a run begins."""

import dataclasses

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from lossylab.data.schedule import Schedule, Stream, image_index

few = hypothesis.settings(max_examples=40, deadline=None, database=None, derandomize=True)
some = hypothesis.settings(max_examples=12, deadline=None, database=None, derandomize=True)
small = st.integers(1, 4)


def _numbers(schedule: Schedule, step: int) -> list[int]:
    """Samples that a worker makes for a step, in order."""
    elements = range(step * schedule.replicas, (step + 1) * schedule.replicas)
    return [
        schedule.first_number(element) + i
        for element in elements
        for i in range(schedule.device_batch)
    ]


@few
@hypothesis.given(small, small, small, st.integers(0, 10**12))
def test_workers_in_order_have_the_samples_of_a_step_once(shards, replicas, local, step):
    batch = shards * replicas * local
    workers = [Schedule(batch, 1, 0, shard, shards, replicas) for shard in range(shards)]
    found = [number for worker in workers for number in _numbers(worker, step)]
    assert found == list(range(step * batch, (step + 1) * batch))


def _sample(schedule):
    """A sample that tells its number, its image and what was drawn for it."""

    def sample(number):
        draw = tf.random.stateless_uniform((), schedule.key(number, Stream.PATCH_NOISE))
        return number, schedule.image_index(number, 7), draw

    return sample


def _take(schedule, count):
    batches = schedule.batches(_sample(schedule)).take(count)
    return [[part.numpy() for part in batch] for batch in batches]


@some
@hypothesis.given(small, small, st.integers(0, 5), st.integers(0, 2**31 - 1))
def test_a_resumed_run_goes_on_as_one_never_stopped(replicas, local, step, seed):
    straight = _take(Schedule(replicas * local, seed, 0, 0, 1, replicas), (step + 2) * replicas)
    resumed = _take(Schedule(replicas * local, seed, step, 0, 1, replicas), 2 * replicas)
    for one, other in zip(straight[step * replicas :], resumed, strict=True):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)


@some
@hypothesis.given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**31 - 1))
def test_devices_together_get_what_one_would(shards, replicas, seed):
    batch = 2 * shards * replicas
    whole = _take(Schedule(batch, seed), 2)
    parts = [
        _take(Schedule(batch, seed, 0, i, shards, replicas), 2 * replicas) for i in range(shards)
    ]
    for step in range(2):
        mine = [part[step * replicas + r] for part in parts for r in range(replicas)]
        for column in range(3):
            joined = np.concatenate([each[column] for each in mine])
            np.testing.assert_array_equal(joined, whole[step][column])


@few
@hypothesis.given(st.integers(1, 30), st.integers(0, 3), st.integers(0, 2**31 - 1))
def test_an_epoch_has_every_image_once(count, epoch, seed):
    numbers = range(epoch * count, (epoch + 1) * count)
    drawn = [int(image_index(seed, tf.constant(n, tf.int64), count)) for n in numbers]
    assert sorted(drawn) == list(range(count))


def test_streams_keep_their_values():
    """Checkpoints of runs go on with the same draws: these may not change."""
    assert dict(Stream.__members__) == {
        "PATCH_WINDOW": 1,
        "PATCH_NOISE": 2,
        "PAIR_POSITION": 3,
        "PROXY_DISTORTION": 3,
        "PROXY_NOISE": 4,
        "LATENT_NOISE": 5,
        "RANKED_POSITION": 5,
        "SCALED_POSITION": 5,
        "SCALED_SIZE": 6,
        "RATED_POSITION": 6,
        "IDENTICAL_PAIR": 6,
        "HYPER_LATENT_NOISE": 7,
        "DROPOUT": 7,
        "ERROR_SCALE": 8,
        "SHARPENING": 9,
        "ADVERSARIAL": 10,
        "GENERATOR_NOISE": 4,
        "MIRROR": 3,
        "GENERATED": 4,
    }


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"shard": 2, "shards": 2}, r"shard must lie in 0\.\.1, got 2"),
        ({"shard": -1}, r"shard must lie in 0\.\.0, got -1"),
        ({"first_step": -1}, "first_step must be at least 0, got -1"),
        ({"replicas": 0}, "a batch of 4 cannot be shared by 0 devices"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        Schedule(4, 1, **wrong)
    assert dataclasses.replace(Schedule(4, 1), first_step=3) == Schedule(4, 1, 3)
