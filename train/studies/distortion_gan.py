"""Trains the distortion GAN's four distortions, its lambda study and its pixel losses.

  python -m lossylab.train.studies.distortion_gan \\
      --flagfile=train/flags/distortion_gan_small.flags --out=study

Each variant is a run of `lossylab train distortion_gan` in OUT/runs/NAME with the flags of this
command and those of the variant. With --start_steps, generators of compressions begin with one
that has learned the compression by l1. Killed or stopped, the same command goes on where it was; a
variant that has all its steps is only exported again.
"""

from __future__ import annotations

from absl import flags

from lossylab.core.app import launch, new_flags, parse, require, require_known
from lossylab.train import distortion_gan
from lossylab.train.studies import study

_JPEG = "--distortion=jpeg"
# Flags of `lossylab train distortion_gan` by variant: Table I, Fig. 3 and Fig. 4.
VARIANTS = {
    "jpeg": (_JPEG,),
    "jpeg2000": ("--distortion=jpeg2000",),
    "white": ("--distortion=white",),
    "pink": ("--distortion=pink",),
    "jpeg_lambda_0": (_JPEG, "--sparsity_weight=0"),
    "jpeg_lambda_0.01": (_JPEG, "--sparsity_weight=0.01"),
    "jpeg_lambda_1": (_JPEG, "--sparsity_weight=1"),
    "jpeg_l1": (_JPEG, "--pixel_loss=l1"),
    "jpeg_l2": (_JPEG, "--pixel_loss=l2"),
}

# Generators to begin with, by the distortion that they have learned, and who begins with them.
STARTS = {"start_jpeg": "--distortion=jpeg", "start_jpeg2000": "--distortion=jpeg2000"}
_BEGIN = {
    **dict.fromkeys(("jpeg", *(n for n in VARIANTS if n.startswith("jpeg_lambda"))), "start_jpeg"),
    "jpeg2000": "start_jpeg2000",
}

FLAGS = new_flags()
study.define(FLAGS, list(VARIANTS), "train distortion_gan")
flags.DEFINE_integer(
    "start_steps", 0, "Steps of these generators; 0 as the paper.", 0, flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require_known("variants", FLAGS.variants, VARIANTS)
    study.train(FLAGS, _variants(), [*STARTS, *VARIANTS], distortion_gan)


def _variants() -> dict[str, tuple[str, ...]]:
    """Flags by variant; what the others begin with comes first."""
    chosen = {name: VARIANTS[name] for name in FLAGS.variants}
    begun = {name: _BEGIN[name] for name in chosen if name in _BEGIN and FLAGS.start_steps}
    starts = {
        start: (words, "--pixel_loss=l1", f"--steps={FLAGS.start_steps}")
        for start, words in STARTS.items()
        if start in begun.values()
    }
    return starts | {
        name: (*words, f"--init_from={study.run_dir(FLAGS, begun[name])}")
        if name in begun
        else words
        for name, words in chosen.items()
    }


if __name__ == "__main__":
    launch(main)
