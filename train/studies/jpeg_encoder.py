"""Trains the JPEG encoder's variants at several rates, for the paper's figures.

  python -m lossylab.train.studies.jpeg_encoder --flagfile=train/flags/jpeg_encoder_small.flags \\
      --out=study

Each variant and lambda is a run of `lossylab train jpeg_encoder` in OUT/runs/NAME_LAMBDA with the
flags of this command and those of the variant (--variant names it NAME_LAMBDA). With
--table_steps, tables first learn alone, and all variants of a lambda begin with these. Killed or
stopped, the same command goes on where it was; a variant that has all its steps is only exported
again.
"""

from __future__ import annotations

from absl import flags

from lossylab.core.app import launch, new_flags, parse, require, require_known
from lossylab.train import jpeg_encoder
from lossylab.train.studies import study

START = "start"  # where tables learn alone
# Flags of `lossylab train jpeg_encoder` by variant. "plain" is the baseline's loss, without
# MS-SSIM; the loss of the LSTMs of Fig. 15 is not said, they are compared with the baseline.
_PLAIN = ("--ms_ssim_weight=0",)
_VGG = ("--attention=conv", "--backbone=vgg19")
_RESNET = ("--attention=conv", "--backbone=resnet152")
VARIANTS = {
    "tables": ("--attention=none", *_PLAIN),
    "vgg": (*_VGG, *_PLAIN),
    "vgg_ms_ssim": _VGG,
    "vgg_no_lpips": (*_VGG, "--lpips_weight=0"),
    "vgg_half_weights": (*_VGG, "--lpips_weight=250", "--ms_ssim_weight=500"),
    "resnet": (*_RESNET, *_PLAIN),
    "resnet_ms_ssim": _RESNET,
    "resnet_block1": ("--attention=conv", "--backbone=resnet152_block1", *_PLAIN),
    "lstm": ("--attention=lstm", *_PLAIN),
    "bilstm": ("--attention=bilstm", *_PLAIN),
    "lstm_tanh": ("--attention=lstm", "--lstm_output=tanh", *_PLAIN),
    "lstm_minmax": ("--attention=lstm", "--lstm_output=minmax", *_PLAIN),
}

FLAGS = new_flags()
study.define(FLAGS, list(VARIANTS), "train jpeg_encoder")
flags.DEFINE_list(
    "lambdas",
    ["0.001", "0.0025", "0.005", "0.01", "0.05", "0.1"],
    "Weights of the distortion. Assumed: those of the baseline's code.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "table_steps",
    0,
    "Steps in which tables learn alone before the variants; 0 as the paper.",
    0,
    flag_values=FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require_known("variants", FLAGS.variants, VARIANTS)
    known = [f"{name}_{lmbda}" for name in (START, *VARIANTS) for lmbda in FLAGS.lambdas]
    study.train(FLAGS, _variants(), known, jpeg_encoder)


def _variants() -> dict[str, tuple[str, ...]]:
    """Flags by variant and lambda; the tables that the others begin with come first."""
    found = {}
    for lmbda in FLAGS.lambdas:
        start, words = f"{START}_{lmbda}", (f"--lmbda={lmbda}",)
        begin = ()
        if FLAGS.table_steps:
            steps = f"--steps={FLAGS.table_steps}"
            found[start] = (*words, "--attention=none", *_PLAIN, steps)
            begin = (f"--tables_from={study.run_dir(FLAGS, start)}",)
        found |= {f"{name}_{lmbda}": (*VARIANTS[name], *words, *begin) for name in FLAGS.variants}
    return found


if __name__ == "__main__":
    launch(main)
