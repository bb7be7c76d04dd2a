"""Trains WCDGAN, its ablations and the networks it is compared to, one after the other.

  python -m lossylab.train.wcdgan_study --flagfile=train/flags/wcdgan_small.flags --out=study

Each variant is a run of `lossylab train wcdgan` in OUT/runs/NAME with the flags of this command and
those of the variant. Killed or stopped, the same command goes on where it was; a variant that has
all its steps is only exported again.
"""

from __future__ import annotations

import logging
import pathlib
import sys

from absl import flags

from lossylab.eval.app import launch, new_flags, parse, require
from lossylab.train import wcdgan

log = logging.getLogger("lossylab")

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
flags.DEFINE_string("out", None, "Folder of the runs.", flag_values=FLAGS)
flags.DEFINE_list("variants", list(VARIANTS), "Which to train, in order.", flag_values=FLAGS)
flags.DEFINE_string("train_data", None, "See train wcdgan.", flag_values=FLAGS)
flags.DEFINE_list(
    "common", [], "Flags of `lossylab train wcdgan` for all, without dashes.", flag_values=FLAGS
)
flags.DEFINE_multi_string(
    "variant",
    [],
    "NAME:FLAG,FLAG...: flags for one variant, or for NAME* all that begin so.",
    flag_values=FLAGS,
)
flags.DEFINE_bool("dry_run", False, "Print the commands and stop.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.out), "--out is needed: the folder of the runs")
    require(bool(FLAGS.train_data), "--train_data is needed: a collection, folder, glob or @list")
    unknown = [name for name in FLAGS.variants if name not in VARIANTS]
    require(not unknown, f"--variants knows {', '.join(VARIANTS)}, not {', '.join(unknown)}")
    commands = {name: command(name) for name in FLAGS.variants}
    if FLAGS.dry_run:
        sys.stdout.write("".join(f"{' '.join(words)}\n" for words in commands.values()))
        return
    for words in commands.values():
        wcdgan.check(words)
    for name, words in commands.items():
        log.info("%s: %s", name, " ".join(words[1:]))
        wcdgan.main(words)


def command(name: str) -> list[str]:
    """The command line of a variant; raises UsageError if --variant does not make sense."""
    words = [*VARIANTS[name], *(f"--{flag}" for flag in FLAGS.common)]
    for entry in FLAGS.variant:
        pattern, colon, given = entry.partition(":")
        require(bool(colon and given), f"--variant={entry}: expected NAME:FLAG,FLAG...")
        names = [n for n in VARIANTS if n == pattern or _begins(n, pattern)]
        require(bool(names), f"--variant={entry}: no variant {pattern}, only {', '.join(VARIANTS)}")
        if name in names:
            words += [f"--{flag}" for flag in given.split(",")]
    run_dir = pathlib.Path(FLAGS.out) / "runs" / name
    return ["wcdgan", f"--train_data={FLAGS.train_data}", f"--run_dir={run_dir}", *words]


def _begins(name: str, pattern: str) -> bool:
    return pattern.endswith("*") and name.startswith(pattern[:-1])


if __name__ == "__main__":
    launch(main)
