"""Trains the distortion GAN's four distortions, its lambda study and its pixel losses."""

from __future__ import annotations

import pathlib
from typing import Any

from lossylab.core import command
from lossylab.train.options.distortion_gan import DistortionGanOptions
from lossylab.train.options.studies import DISTORTION_GAN, DistortionGanStudyOptions, Variants
from lossylab.train.studies.study import Study

# Generators to begin with have learned a compression; of whom it is, its variants begin with them.
_STARTS = ("start_jpeg", "start_jpeg2000")


def _start_of(variant: str) -> str:
    """The generator that a variant may begin with, or nothing."""
    if variant.startswith("jpeg_lambda"):
        variant = "jpeg"
    return f"start_{variant}" if f"start_{variant}" in _STARTS else ""


def _starts(options: DistortionGanStudyOptions) -> Variants:
    begun = {_start_of(name) for name in options.variants if options.start_steps}
    learned = {"pixel_loss": "l1", "steps": options.start_steps}
    return {
        start: {"distortion": start.removeprefix("start_"), **learned}
        for start in _STARTS
        if start in begun
    }


def _variants(options: DistortionGanStudyOptions) -> Variants:
    found: dict[str, dict[str, Any]] = {}
    for again, seed in options.repetitions.items():
        for name in options.variants:
            values = {**DISTORTION_GAN[name], **seed}
            if options.start_steps and _start_of(name):
                values["init_from"] = options.run_dir(_start_of(name))
            found[name + again] = values
    return found


STUDY = Study(
    "train distortion_gan",
    DistortionGanOptions,
    "lossylab.train.distortion_gan:train",
    stages=(_starts, _variants),
    names=lambda options: (*_STARTS, *DISTORTION_GAN),
)


def train(options: DistortionGanStudyOptions) -> list[pathlib.Path]:
    """Trains all variants; returns their run directories."""
    return STUDY.run(options)


if __name__ == "__main__":
    command.as_program(DistortionGanStudyOptions, train, "lossylab train distortion_gan_study")
