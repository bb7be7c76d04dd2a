"""The `lossylab` command: lists and runs everything the package can do.

lossylab train proxiqa --help
lossylab compress image.png image.lossy --model=runs/vmaf/export
"""

from __future__ import annotations

import importlib
import sys

from lossylab.core.app import launch, require

# Words of the command line -> module with main(argv), and what it does.
COMMANDS = {
    ("train", "proxiqa"): ("lossylab.train.proxiqa", "train a codec for a perceptual metric"),
    ("train", "proxiqa_study"): (
        "lossylab.train.studies.proxiqa",
        "train codecs for several metrics and rates, and compare them",
    ),
    ("train", "wcdgan"): ("lossylab.train.wcdgan", "train a network that restores JPEG images"),
    ("train", "wcdgan_study"): (
        "lossylab.train.studies.wcdgan",
        "train WCDGAN, its ablations and its rivals",
    ),
    ("train", "jpeg_encoder"): ("lossylab.train.jpeg_encoder", "train a JPEG encoder"),
    ("train", "jpeg_encoder_study"): (
        "lossylab.train.studies.jpeg_encoder",
        "train the JPEG encoder's variants at several rates",
    ),
    ("jpeg",): ("lossylab.cli.jpeg", "images to standard .jpg files by a learned encoder"),
    ("restore",): (
        "lossylab.cli.restore",
        "images without artifacts: networks, latent search",
    ),
    ("train", "distortion_gan"): (
        "lossylab.train.distortion_gan",
        "train a generator of distortions",
    ),
    ("train", "distortion_gan_study"): (
        "lossylab.train.studies.distortion_gan",
        "train generators of four distortions, and their ablations",
    ),
    ("train", "rankiqa"): (
        "lossylab.train.rankiqa",
        "train scores of images without a reference",
    ),
    ("distort",): ("lossylab.cli.distort", "images made worse, by a generator or truly"),
    ("train", "mmd_restoration"): (
        "lossylab.train.mmd_restoration",
        "train a model of a degradation's likelihood",
    ),
    ("generate",): ("lossylab.cli.generate", "images of a StyleGAN's generator"),
    ("sample",): ("lossylab.cli.sample", "degraded versions drawn from a degradation model"),
    ("import", "lpips"): (
        "lossylab.inference.importers.lpips",
        "LPIPS's official weights to one file",
    ),
    ("import", "stylegan"): (
        "lossylab.inference.importers.stylegan_files",
        "an official StyleGAN or StyleGAN2 network to one file",
    ),
    ("import",): (
        "lossylab.inference.importers.restorers",
        "official ARCNN and DnCNN-3 weights to exports",
    ),
    ("compress",): ("lossylab.cli.compress", "images to compressed files"),
    ("decompress",): ("lossylab.cli.compress", "compressed files to images"),
    ("eval", "rd"): ("lossylab.eval.rd", "rate and quality of codecs: rows, BD-rates, plot"),
    ("eval", "proxiqa"): ("lossylab.eval.proxiqa.__main__", "ProxIQA's tables, figures and claims"),
    ("eval", "restoration"): (
        "lossylab.eval.restoration",
        "quality of restored JPEG images: rows and means",
    ),
    ("eval", "wcdgan"): ("lossylab.eval.wcdgan.__main__", "WCDGAN's tables, figures and claims"),
    ("eval", "jpeg_rd"): (
        "lossylab.eval.jpeg_rd",
        "rate and quality of learned JPEG encoders: rows",
    ),
    ("eval", "jpeg_encoder"): (
        "lossylab.eval.jpeg_encoder.__main__",
        "the JPEG encoder's figures, tables and claims",
    ),
    ("eval", "distortions"): (
        "lossylab.eval.distortions",
        "how like true distortions generated ones are: rows",
    ),
    ("eval", "distortion_gan"): (
        "lossylab.eval.distortion_gan.__main__",
        "the distortion GAN's table, figures and claims",
    ),
    ("eval", "latent_study"): (
        "lossylab.eval.latent_study",
        "known images restored by every search of Table 2: rows",
    ),
    ("eval", "mmd_restoration"): (
        "lossylab.eval.mmd_restoration.__main__",
        "latent restoration's tables, figures and claims",
    ),
    ("eval", "degradation_nll"): (
        "lossylab.eval.degradation_nll",
        "likelihood of degraded images given good ones: rows",
    ),
    ("eval", "rankiqa"): ("lossylab.eval.rankiqa", "scores of images without a reference"),
    ("eval", "rank_accuracy"): (
        "lossylab.eval.rank_accuracy",
        "how often such scores rank distortions rightly: rows",
    ),
    ("eval", "study_page"): (
        "lossylab.eval.study_page",
        "a page on which raters choose the better of two images",
    ),
    ("eval", "study_tally"): ("lossylab.eval.study_tally", "the preferences of such raters"),
    ("eval", "crops"): ("lossylab.eval.crops", "crops of codecs side by side at equal rate"),
    ("eval", "metrics"): ("lossylab.eval.metric_agreement", "how far metrics' definitions agree"),
    ("doctor",): ("lossylab.cli.doctor", "check this installation"),
    ("benchmark",): ("lossylab.cli.benchmark.__main__", "measure speed and memory"),
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
    words = _command(argv)
    require(words is not None, f"unknown command '{' '.join(argv[1:3])}'\n{usage()}")
    importlib.import_module(COMMANDS[words][0]).main([words[-1], *argv[1 + len(words) :]])


def console() -> None:
    """Entry point of the console script."""
    words = _command(sys.argv)
    if words is not None:
        # Before absl's app begins: a TensorFlow imported inside it takes itself for TensorFlow 1.
        importlib.import_module(COMMANDS[words][0])
    launch(main)


def _command(argv: list[str]) -> tuple[str, ...] | None:
    """The words of argv that name a command, if they do."""
    return next((w for w in COMMANDS if tuple(argv[1 : 1 + len(w)]) == w), None)


if __name__ == "__main__":
    console()
