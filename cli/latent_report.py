"""What a latent search found, the image, its latents and a report: written, recognized later."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

import numpy as np
from PIL import Image

from lossylab.core.digest import file_digest
from lossylab.core.files import replacing, write_text
from lossylab.core.options import require
from lossylab.data.decode import say_once
from lossylab.inference.latent import latents
from lossylab.inference.latent.search import Iterate
from lossylab.inference.latent.settings import Settings

_DIGITS = 6  # significant digits kept of a history


@dataclasses.dataclass(frozen=True)
class Target:
    """One image to search for.

    Attributes:
      source: the given image's file.
      target: the file of the result.
      size: side of the image that is searched for, pixels.
      identity: names image, networks and settings.
      generator: fingerprint of its weights.
      colorless: the given image has no color, and so gets the result.
      gray: the given image's file has one channel, and so gets the result's.
      untouched: leave the files alone until the search has ended, as they hold another result.
    """

    source: str
    target: str
    size: int
    identity: str
    generator: str
    colorless: bool = False
    gray: bool = False
    untouched: bool = False

    @property
    def report(self) -> pathlib.Path:
        """The report's file."""
        return pathlib.Path(self.target).with_suffix(".json")

    @property
    def latents(self) -> pathlib.Path:
        """The file of styles and noise, see `inference.latent.latents`."""
        return pathlib.Path(self.target).with_suffix(".npz")


@dataclasses.dataclass(frozen=True)
class Constraint:
    """What the images of a batch must meet.

    Attributes:
      loss: its name.
      threshold: the most that it may be.
      reached: what it is, [B].
    """

    loss: str
    threshold: float
    reached: np.ndarray


def waiting(target: Target, overwrite: bool) -> Target | None:
    """What is left to do: None if the same search has ended and its files are as it left them.

    Raises:
      UsageError: if there are files of something else, and they may not be overwritten.
    """
    path = pathlib.Path(target.target)
    if not any(map(os.path.lexists, (path, target.report, target.latents))):
        return target
    foreign = os.path.lexists(target.latents) and not latents.is_file_of_latents(target.latents)
    require(
        not foreign,
        f"{target.latents} has no latents, which would replace it: move it, or choose another "
        "output",
    )
    report = _read(target.report)
    mine = report.get("identity") == target.identity
    ended = report.get("finished") is True and path.exists()
    if mine and ended and report.get("sha256") == file_digest(path) and not overwrite:
        if not target.latents.exists():
            say_once("latents", path, "was found without its latents: `overwrite` searches again")
        return None
    require(
        overwrite or mine,
        f"{target.target}, its report or its latents exists, of another search: `overwrite`",
    )
    return dataclasses.replace(target, untouched=overwrite or not mine)


def _read(path: pathlib.Path) -> dict:
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def write(
    target: Target,
    settings: Settings,
    kept: Iterate,
    best: Iterate,
    index: int,
    constraint: Constraint,
    history: dict[str, np.ndarray] | None = None,
) -> dict:
    """Writes an image, its latents and a report, which says 'finished' once all are there.

    Args:
      target: the files.
      settings: of the search.
      kept: the iterate to write.
      best: the best so far.
      index: of the image in these.
      constraint: on the results, and where they are.
      history: of the whole search, when it has ended.

    Returns:
      The report.

    Raises:
      OutputError: if they cannot be written.
    """
    reached = float(constraint.reached[index])
    report = {
        "identity": target.identity,
        "finished": False,
        "input": target.source,
        "settings": dataclasses.asdict(settings),
        **_iterate(kept, index),
        "best": _iterate(best, index),
        "constraint": {
            "of": constraint.loss,
            "threshold": constraint.threshold,
            "reached": reached,
            "met": reached <= constraint.threshold,
        },
    }
    _write_report(target, report)
    image = np.clip(np.rint(kept.images[index]), 0, 255).astype(np.uint8)
    with replacing(target.target) as temporary:
        Image.fromarray(image[..., 0] if target.gray else image).save(temporary)
    noise = [each[index : index + 1] for each in kept.noise]
    styles, gray = kept.styles[index], target.colorless
    latents.save(target.latents, target.generator, settings, styles, noise, gray)
    if history is not None:
        report |= {"finished": True, "sha256": file_digest(target.target)}
        report["history"] = {
            loss: [float(f"{value:.{_DIGITS}g}") for value in values[:, index]]
            for loss, values in history.items()
        }
        _write_report(target, report)
    return report


def _iterate(found: Iterate, index: int) -> dict:
    losses = {name: float(values[index]) for name, values in found.losses.items()}
    return {"step": int(found.steps[index]), "losses": losses}


def _write_report(target: Target, report: dict) -> None:
    write_text(target.report, json.dumps(report, indent=1) + "\n")
