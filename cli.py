"""The `lossylab` command: lists and runs everything the package can do.

lossylab train proxiqa --help
lossylab compress picture.png picture.lossy --model=runs/vmaf/export
"""

from __future__ import annotations

import importlib
import sys

from lossylab.eval.app import launch, require

# Words of the command line -> module with main(argv), and what it does.
COMMANDS = {
    ("train", "proxiqa"): ("lossylab.train.proxiqa", "train a codec for a perceptual metric"),
    ("train", "proxiqa_study"): (
        "lossylab.train.proxiqa_study",
        "train codecs for several metrics and rates, and compare them",
    ),
    ("compress",): ("lossylab.eval.compress", "pictures to compressed files"),
    ("decompress",): ("lossylab.eval.compress", "compressed files to pictures"),
    ("eval", "rd"): ("lossylab.eval.rd", "rate and quality of exported codecs and JPEG"),
    ("doctor",): ("lossylab.eval.doctor", "check this installation"),
    ("benchmark",): ("lossylab.eval.benchmark", "measure speed and memory"),
}


def usage() -> str:
    """The list of commands."""
    width = max(len(" ".join(words)) for words in COMMANDS)
    lines = [f"  lossylab {' '.join(w):{width}}  {text}" for w, (_, text) in COMMANDS.items()]
    return (
        "usage: lossylab COMMAND [arguments], --help after a command explains it\n\n"
        + "\n".join(lines)
    )


def main(argv: list[str]) -> None:
    """Runs the command that argv names; argv[0] is the program's name."""
    if len(argv) < 2 or argv[1] in ("help", "--help", "-h"):
        sys.stdout.write(usage() + "\n")
        return
    for words, (module, _) in COMMANDS.items():
        if tuple(argv[1 : 1 + len(words)]) == words:
            rest = argv[1 + len(words) :]
            importlib.import_module(module).main([words[-1], *rest])
            return
    require(False, f"unknown command '{' '.join(argv[1:3])}'\n{usage()}")


def console() -> None:
    """Entry point of the console script."""
    launch(main)


if __name__ == "__main__":
    console()
