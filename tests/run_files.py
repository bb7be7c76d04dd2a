"""What a training has left in its run directory."""

import csv
import pathlib
import shutil

import numpy as np
import tensorflow as tf


def weights(run_dir, step: int | None = None) -> dict[str, np.ndarray]:
    """All numbers of a checkpoint by name, the newest if no step is given."""
    place = pathlib.Path(run_dir) / "checkpoints"
    path = f"{place}/ckpt-{step}" if step else tf.train.latest_checkpoint(str(place))
    reader = tf.train.load_checkpoint(path)
    names = [name for name, _ in tf.train.list_variables(path) if "OBJECT_GRAPH" not in name]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def rows(run_dir, name: str = "metrics.csv") -> list[dict[str, float]]:
    """The rows of a CSV file of a run, as numbers."""
    with open(pathlib.Path(run_dir) / name) as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def assert_equal(run_dir, other) -> None:
    """Holds two runs' newest checkpoints alike in every bit."""
    one, two = weights(run_dir), weights(other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)


def cut(run_dir, copy, step: int) -> None:
    """A copy of a run as if it had been killed after saving that step."""
    shutil.copytree(run_dir, copy)
    shutil.rmtree(pathlib.Path(copy) / "export", ignore_errors=True)
    place = pathlib.Path(copy) / "checkpoints"
    for path in place.glob("ckpt-*"):
        if int(path.name.split(".")[0].removeprefix("ckpt-")) > step:
            path.unlink()
    tf.compat.v1.train.update_checkpoint_state(str(place), str(place / f"ckpt-{step}"))
