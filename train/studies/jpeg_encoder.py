"""Trains the JPEG encoder's variants at several rates, for the paper's figures."""

from __future__ import annotations

import pathlib
from typing import Any

from lossylab.core import command
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions
from lossylab.train.options.studies import JPEG_ENCODER, JpegEncoderStudyOptions, Variants
from lossylab.train.studies.study import Study

_START = "start"  # where tables learn alone


def _runs(options: JpegEncoderStudyOptions) -> Variants:
    """All of a lambda, the tables that the others begin with first."""
    found = {}
    for lmbda in _lmbdas(options):
        start = f"{_START}_{lmbda:g}"
        rest: dict[str, Any] = {"lmbda": lmbda}
        if options.table_steps:
            found[start] = {**JPEG_ENCODER["tables"], **rest, "steps": options.table_steps}
            rest["tables_from"] = options.run_dir(start)
        variants = options.variants if lmbda in options.lmbdas else ("tables",)
        for again, seed in options.repetitions.items():
            for name in variants:
                found[f"{name}{again}_{lmbda:g}"] = {**JPEG_ENCODER[name], **rest, **seed}
    return found


def _lmbdas(options: JpegEncoderStudyOptions) -> list[float]:
    return [*dict.fromkeys((*options.lmbdas, *options.table_lmbdas))]


STUDY = Study(
    "train jpeg_encoder",
    JpegEncoderOptions,
    "lossylab.train.jpeg_encoder:train",
    stages=(_runs,),
    names=lambda options: [
        f"{name}_{lmbda:g}" for name in (_START, *JPEG_ENCODER) for lmbda in _lmbdas(options)
    ],
)


def train(options: JpegEncoderStudyOptions) -> list[pathlib.Path]:
    """Trains all variants; returns their run directories."""
    return STUDY.run(options)


if __name__ == "__main__":
    command.as_program(JpegEncoderStudyOptions, train, "lossylab train jpeg_encoder_study")
