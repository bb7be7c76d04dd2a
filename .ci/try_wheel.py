"""Tries an installed lossylab from a folder without its sources; `.ci/try_wheel` runs it there."""

import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image


def run(*words, status=0):
    """Runs a command; returns what it said."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != status:
        sys.exit(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def expect(condition, what) -> None:
    """Stops with a message unless the condition holds."""
    if not condition:
        sys.exit(f"not so in the wheel: {what}")


def commands() -> None:
    """Help, version, flag files that come with the package, and messages."""
    expect("lossylab 0." in run("lossylab", "--version"), "--version tells the version")
    expect("lossylab compress" in run("lossylab"), "the list of commands")
    expect("--model" in run("lossylab", "compress", "--help"), "help of a command")
    said = run("lossylab", "eval", "wcdgan", status=2)
    expect("no such folder" in said and "--results" in said, f"a clear message: {said}")
    demo = run(
        "lossylab", "train", "proxiqa_study", "--flagfile=proxiqa_demo", "--out=o", "--dry_run"
    )
    expect("vmaf" in demo, "flag files by their names")


def codec() -> None:
    """A tiny export, compressed and decompressed by the library and by the commands."""
    import lossylab
    from lossylab.inference.export import container
    from lossylab.inference.export.codec import Codec
    from lossylab.models.bls2017 import BLS2017

    expect("environment" in lossylab.__file__, f"the wheel is used, not {lossylab.__file__}")
    Codec.save(BLS2017(4), "export", {})
    image = np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8)
    Image.fromarray(image).save("image.png")
    run("lossylab", "compress", "image.png", "image.lossy", "--model=export")
    run("lossylab", "decompress", "image.lossy", "decoded.png", "--model=export")
    decoded = np.asarray(Image.open("decoded.png"))
    expect(decoded.shape == image.shape, "decoded images have the size of the original")
    loaded = lossylab.load("export")
    again = container.decompress(loaded, pathlib.Path("image.lossy").read_bytes())
    expect(np.array_equal(again, decoded), "command and library decode alike")


def packaged_models() -> None:
    """README's first commands, without any option that names a model."""
    from lossylab.data.collections import find_images
    from lossylab.data.jpeg import encode

    image = np.asarray(Image.open(find_images("sample_test")[0]).convert("RGB"))[:160, :160]
    Image.fromarray(image).save("photo.png")
    pathlib.Path("blocky.jpg").write_bytes(encode(image, 10))
    expect("bls-mse-0.016" in run("lossylab", "models"), "packaged models are listed")
    said = run("lossylab", "compress", "photo.png")
    expect("JPEG of as many bytes" in said, f"what a codec gains is said: {said}")
    run("lossylab", "decompress", "photo.lossy")
    expect("JPEG of as many" in run("lossylab", "jpeg", "photo.png"), "a learned .jpg")
    run("lossylab", "distort", "photo.png", "--like=jpeg")
    said = run("lossylab", "restore", "blocky.jpg")
    expect("by dncnn-rgb" in said and "dB on live1" in said, f"a JPEG file is restored: {said}")
    run("lossylab", "generate", "emoji", "--count=2")
    search = ("--method=mmd", "--size=8", "--steps=2", "--samples=32")
    run("lossylab", "restore", "emoji", "by_mmd", *search)
    expect(pathlib.Path("by_mmd/001.png").exists(), "images are searched for")


if __name__ == "__main__":
    commands()
    codec()
    packaged_models()
    sys.stdout.write("the wheel works\n")
