"""The commands of README.md and docs/: all are understood, and run in the order of their page."""

import pathlib
import re
import shlex
import shutil

import pytest
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.commands import COMMANDS
from lossylab.core import command

ROOT = pathlib.Path(lossylab.__file__).parent
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
# Pages for readers who begin: what they say is tried.
TRIED = [page for page in PAGES if re.match(r"README|docs/(index|guide/|tutorials/)", page)]
# Appended to the commands so that they end in seconds; later flags win.
TINY = {
    "train proxiqa": "--train_data=photos --steps=2 --filters=4 --patch=32 --batch=2 --min_scale=1",
    "train wcdgan": "--steps=2 --filters=4 --patch=32 --stride=32 --batch=2",
    "train jpeg_encoder": "--steps=2 --patch=32 --batch=1 --ms_ssim_weight=0",
    "train distortion_gan": "--steps=2 --patch=32 --batch=1 --filters=2 --discriminator_filters=2",
    "restore generated": "--steps=2 --fit_samples=100 --samples=50",
    "restore emoji": "--steps=2 --samples=50",
    "eval latent_study": "--rows=5 --tasks=downscale --images=2 --fit_samples=100",
    "train mmd_restoration": "--train_data=photos --steps=2 --patch=16 --max_patch=16 --batch=1 "
    "--filters=4 --blocks=1 --mixtures=2 --condition_filters=4 --validate_every=0 --export_at=",
    "eval degradation_nll": "--data=photos --window=16",
    "train rankiqa": "--steps=1 --filters=2 --units=8 --patch=64",
    "eval rankiqa": "--num_crops=2",
    "eval restoration": "--data=photos --methods=jpeg --models=dncnn:runs/dncnn_q10/export",
    "eval distortions": "--data=photos --models=jpeg:runs/worse/export",
    "eval rd": "--data=photos --codecs=jpeg --models=mse:runs/mse/export,vmaf:runs/mse/export",
    "eval crops": "--data=photos --crop_size=64 --codecs=jpeg --models=mse:runs/mse/export",
}
# What wants days, hours, or files of others.
UNTRIED = re.compile(
    r"_study |lossylab demo|study/|--study|report study|report runs/bls|doctor|\.mat|\.pth|"
    r"official/|alex\.npz|ffhq|faces|import icons|emoji/|runs/prior|answers_|results/jpeg --out|"
    r"--format=onnx|--beam=|data_worker|--data_service"
)


def _commands(page):
    """Command lines of lossylab in the code blocks of a page."""
    blocks = re.findall(
        r"^```(?:sh|bash)?\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.M
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return [line for line in lines if line.startswith("lossylab ")]


def _tried(page):
    return [line for line in _commands(page) if not UNTRIED.search(line)]


@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_are_understood(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    resolve, done = command.resolve, []
    monkeypatch.setattr(
        command, "resolve", lambda path: resolve(path) if "options" in path else done.append
    )
    for name in ("_find_images", "_write_page"):
        monkeypatch.setattr(cli, name, lambda made: None)
    commands = _commands(page)
    assert commands or ("/tutorials/" not in page and page != "README.md")
    for line in commands:
        cli.main(shlex.split(line)[1:])
    assert len(done) == len(commands)


def test_documents_show_most_commands():
    lines = [line for page in PAGES for line in _commands(page)]
    shown = {words for words in COMMANDS if any(f"lossylab {words} " in f"{x} " for x in lines)}
    assert set(COMMANDS) - shown == {"eval metrics", "eval rank_accuracy"}
    assert all(_tried(page) for page in TRIED if _commands(page))


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in TRIED if _commands(page)])
def test_documented_commands_run_in_their_order(page, tmp_path, monkeypatch, images):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path / "cache"))
    shutil.copytree(ROOT / "results", "results")
    pathlib.Path("photos").mkdir()
    for name, image in zip("ab", images):
        Image.fromarray(image).save(f"photos/{name}.jpg", quality=10)
    for name in ("image.png", "photo.png", "photo.jpg"):
        Image.fromarray(images[1]).save(name)
    lines = _tried(page)
    if not any("--run_dir=runs/mse" in line for line in lines):
        lines.insert(0, "lossylab train proxiqa --metric=mse --run_dir=runs/mse")
    for line in lines:
        extra = next((flags for key, flags in TINY.items() if f"lossylab {key} " in line), "")
        extra = extra if "--models" in line else re.sub(r"--models=\S+", "", extra)
        cli.main(shlex.split(f"{line} {extra}")[1:])
    for decoded in pathlib.Path().glob("decoded.png"):
        with Image.open(decoded) as shown:
            assert shown.size == images[1].shape[1::-1]


def test_the_example_without_lossylab_runs(tmp_path, monkeypatch, images):
    """The block is executed as it is, in a folder with an export where it looks for one."""
    from lossylab.inference.export.codec import Codec
    from lossylab.models.bls2017 import BLS2017

    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/guide/exports.md").read_text(), re.DOTALL
    )
    Codec.save(BLS2017(4), str(tmp_path / "runs" / "vmaf" / "export"), {})
    monkeypatch.chdir(tmp_path)
    names = {"image": images[0]}
    exec(example, names)
    assert names["decoded"].shape == images[0].shape
    assert names["decoded"].dtype == "uint8"
