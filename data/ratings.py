"""Images with ratings from a CSV file, their split by reference, and crops to train with."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from lossylab.core.errors import CollectionError
from lossylab.data.decode import read_image
from lossylab.data.decoded import Decoded
from lossylab.data.patches import CropOptions, crop_at_random, read_whole
from lossylab.data.schedule import Schedule, Stream


@dataclasses.dataclass(frozen=True)
class Rated:
    """An image and what raters say of it.

    Attributes:
      path: of its file.
      score: the rating.
      reference: name of the image that it is a distorted version of.
    """

    path: str
    score: float
    reference: str


def read_ratings(path: str, images: list[str]) -> list[Rated]:
    """Reads a CSV file with the columns image, score and, optionally, reference.

    Args:
      path: the file.
      images: files among which its images are found by name; others are not used.

    Returns:
      The ratings in the file's order; an image without reference is its own.

    Raises:
      CollectionError: naming the line, if the file is no such table, or an image is missing, in
        several folders, or rated twice.
    """
    named: dict[str, list[str]] = {}
    for each in images:
        named.setdefault(pathlib.Path(each).name, []).append(each)
    found: dict[str, Rated] = {}
    for number, row in _lines(path):
        where = f"{path}, line {number}"
        name = pathlib.Path((row.get("image") or "").strip()).name
        matches = named.get(name, [])
        if len(matches) != 1:
            raise CollectionError(
                f"{where}: image '{name}' is {len(matches)} times among the {len(images)} "
                "training images, expected once"
            )
        if name in found:
            raise CollectionError(f"{where}: image '{name}' is rated a second time")
        found[name] = Rated(
            matches[0], _score(row, where), (row.get("reference") or "").strip() or name
        )
    if not found:
        raise CollectionError(f"{path} has no ratings")
    return list(found.values())


def _lines(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Numbered rows of the file; raises CollectionError if it cannot be read."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or ()
            lacking = {"image", "score"} - set(columns)
            if lacking:
                raise CollectionError(
                    f"{path}, line 1: expected the columns image, score and, optionally, "
                    f"reference; {' and '.join(sorted(lacking))} missing"
                )
            for row in reader:
                _check_fields(row, len(columns), f"{path}, line {reader.line_num}")
                yield reader.line_num, row
    except OSError as error:
        raise CollectionError(f"cannot read the ratings {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CollectionError(f"{path} is no CSV file: {error}") from error


def _check_fields(row: dict, columns: int, where: str) -> None:
    """Refuses what lines run into each other, as after a quote too many, give."""
    surplus = row.get(None, [])
    if surplus:
        raise CollectionError(
            f"{where}: expected {columns} fields, got {columns + len(surplus)}; quote names that "
            "have commas"
        )
    broken = [name for name, text in row.items() if text and ("\n" in text or "\r" in text)]
    if broken:
        raise CollectionError(
            f"{where}: the {broken[0]} has a line break; is a quotation mark missing before?"
        )


def _score(row: dict, where: str) -> float:
    text = row.get("score") or ""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise CollectionError(f"{where}: score '{text}' is no number")
    return score


def split(ratings: list[Rated], test_share: float, seed: int) -> tuple[list[Rated], list[Rated]]:
    """Splits so that no reference is in both parts.

    Args:
      ratings: all.
      test_share: fraction of the references to test with, rounded, at least one.
      seed: decides which.

    Returns:
      Ratings to train with, ratings to test with.

    Raises:
      CollectionError: if there are fewer than two references.
    """
    references = sorted({rated.reference for rated in ratings})
    if len(references) < 2:
        raise CollectionError(
            f"ratings of {len(references)} reference cannot be split: at least two are needed"
        )
    count = min(max(round(test_share * len(references)), 1), len(references) - 1)
    shuffled = np.random.default_rng(seed).permutation(references)
    test = set(shuffled[:count].tolist())
    kept = [rated for rated in ratings if rated.reference in test]
    return [rated for rated in ratings if rated.reference not in test], kept


def fingerprint(train: list[Rated], test: list[Rated]) -> str:
    """Names a split, so that a resumed run notices other ratings; folders do not count."""
    lines = [
        (side, pathlib.Path(rated.path).name, rated.score, rated.reference)
        for side, ratings in (("train", train), ("test", test))
        for rated in ratings
    ]
    return hashlib.sha256(repr(lines).encode()).hexdigest()[:16]


def rated_crops(ratings: list[Rated], options: CropOptions, schedule: Schedule) -> tf.data.Dataset:
    """Endless batches of random crops with their images' ratings.

    Args:
      ratings: to train with.
      options: what crops are.
      schedule: which crops, and in which order.

    Returns:
      Data set of (crops, scores): float32 [device_batch, size, size, 3], pixel values 0..255, and
      float32 [device_batch].
    """
    size = options.size
    paths = [rated.path for rated in ratings]
    scores = np.array([rated.score for rated in ratings], np.float32)
    images = Decoded(paths, read_image, options.cache_mb)

    def crop(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = schedule.image_index(number, len(paths))
        image = read_whole(images, paths, index, size, (None, None, 3))
        patch = crop_at_random(image, size, schedule.key(number, Stream.RATED_POSITION))
        return tf.ensure_shape(patch, (size, size, 3)), tf.gather(scores, index)

    def floats(crops: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(crops, tf.float32), scores

    return schedule.batches(crop).map(floats).prefetch(4)
