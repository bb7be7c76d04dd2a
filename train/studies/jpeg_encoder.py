"""Trains the JPEG encoder's variants at several rates, for the paper's figures."""

from __future__ import annotations

import pathlib

from lossylab.core import command
from lossylab.eval.schemas import TABLE_STARTS
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions
from lossylab.train.options.studies import JPEG_ENCODER, JpegEncoderStudyOptions, Variants
from lossylab.train.studies.study import Study


def _runs(options: JpegEncoderStudyOptions) -> Variants:
    """All of a lambda, the tables that the others begin with first."""
    found = {}
    for lmbda in _lmbdas(options):
        variants = options.variants if lmbda in options.lmbdas else ("tables",)
        starts = {JPEG_ENCODER[name].get("rate"): {} for name in variants}
        for rate in starts if options.table_steps else ():
            start = f"{TABLE_STARTS[rate]}_{lmbda:g}"
            alone = {**JPEG_ENCODER["tables"], **({"rate": rate} if rate else {})}
            found[start] = {**alone, "lmbda": lmbda, "steps": options.table_steps}
            starts[rate] = {"tables_from": options.run_dir(start)}
        for again, seed in options.repetitions.items():
            for name in variants:
                values = JPEG_ENCODER[name]
                begin = starts[values.get("rate")]
                found[f"{name}{again}_{lmbda:g}"] = {**values, "lmbda": lmbda, **begin, **seed}
    return found


def _lmbdas(options: JpegEncoderStudyOptions) -> list[float]:
    return [*dict.fromkeys((*options.lmbdas, *options.table_lmbdas))]


STUDY = Study(
    "train jpeg_encoder",
    JpegEncoderOptions,
    "lossylab.train.jpeg_encoder:train",
    stages=(_runs,),
    check="lossylab.train.jpeg_parts:check_weights",
    names=lambda options: [
        f"{name}_{lmbda:g}"
        for name in (*TABLE_STARTS.values(), *JPEG_ENCODER)
        for lmbda in _lmbdas(options)
    ],
)


def train(options: JpegEncoderStudyOptions) -> list[pathlib.Path]:
    """Trains all variants; returns their run directories."""
    return STUDY.run(options)


if __name__ == "__main__":
    command.as_program(JpegEncoderStudyOptions, train, "lossylab train jpeg_encoder_study")
