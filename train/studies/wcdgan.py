"""Trains WCDGAN, its ablations and the networks that it is compared to."""

from __future__ import annotations

import pathlib

from lossylab.core import command
from lossylab.train.options.studies import WCDGAN, Variants, WcdganStudyOptions
from lossylab.train.options.wcdgan import WcdganOptions
from lossylab.train.studies.study import Study


def _variants(options: WcdganStudyOptions) -> Variants:
    return {name: WCDGAN[name] for name in options.variants}


STUDY = Study(
    "train wcdgan",
    WcdganOptions,
    "lossylab.train.wcdgan:train",
    stages=(_variants,),
    names=lambda options: WCDGAN,
    check="lossylab.train.wcdgan:make_network",
)


def train(options: WcdganStudyOptions) -> list[pathlib.Path]:
    """Trains all variants; returns their run directories."""
    return STUDY.run(options)


if __name__ == "__main__":
    command.as_program(WcdganStudyOptions, train, "lossylab train wcdgan_study")
