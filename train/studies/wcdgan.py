"""Trains WCDGAN, its ablations and the networks it is compared to, one after the other.

  python -m lossylab.train.studies.wcdgan --flagfile=train/flags/wcdgan_small.flags --out=study

Each variant is a run of `lossylab train wcdgan` in OUT/runs/NAME with the flags of this command and
those of the variant. Killed or stopped, the same command goes on where it was; a variant that has
all its steps is only exported again.
"""

from __future__ import annotations

from lossylab.core.app import launch, new_flags, parse, require, require_known
from lossylab.train import wcdgan
from lossylab.train.studies import study

# Flags of `lossylab train wcdgan` by variant. The ablations of Table 4 are made without perceptual
# and adversarial loss, whose noise is larger than their effect.
_CONTENT = ("--model=wcdgan", "--perceptual_weight=0", "--adversarial_weight=0")
VARIANTS = {
    "wcdgan": ("--model=wcdgan",),
    "wcdgan_content": _CONTENT,
    "wcdgan_content_no_mixed_conv": (*_CONTENT, "--nomixed_conv"),
    "wcdgan_content_no_mixed_attention": (*_CONTENT, "--nomixed_attention"),
    "arcnn": ("--model=arcnn",),
    "tnrd": ("--model=tnrd",),
    "dncnn": ("--model=dncnn",),
    "memnet": ("--model=memnet",),
    "mwcnn": ("--model=mwcnn",),
}

FLAGS = new_flags()
study.define(FLAGS, list(VARIANTS), "train wcdgan")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require_known("variants", FLAGS.variants, VARIANTS)
    variants = {name: VARIANTS[name] for name in FLAGS.variants}
    study.train(FLAGS, variants, list(VARIANTS), wcdgan)


if __name__ == "__main__":
    launch(main)
