"""What commands answer before any work: help, version, wrong usage; at once."""

import resource
import subprocess
import sys

import pytest

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli import sample
from lossylab.cli.commands import COMMANDS, SUBJECTS
from lossylab.cli.options.distort import SEVERITIES
from lossylab.cli.options.jpeg import JpegOptions
from lossylab.cli.options.restore import SADCT, RestoreOptions
from lossylab.cli.options.sample import SampleOptions
from lossylab.core.errors import UsageError
from lossylab.core.options import default_of, specs
from lossylab.data.distortions import DISTORTIONS
from lossylab.inference.codecs import jpeg_files
from lossylab.inference.export import jpeg, restorer, restoring

QUESTIONS = [
    ["--help"],
    ["--version"],
    ["train", "--help"],
    ["help", "restore"],
    ["compres", "a", "b"],
    ["compress", "a", "b", "--modle=x"],
    ["restore", "a", "b", "--quality=0"],
    *([*words.split(), "--help"] for words in COMMANDS),
]
_ASK = """
import contextlib, io, sys
from lossylab.cli.__main__ import main
from lossylab.core.errors import LossylabError
for line in sys.argv[1:]:
    with contextlib.suppress(LossylabError), contextlib.redirect_stdout(io.StringIO()):
        main(line.split())
    heavy = {"tensorflow", "scipy", "pandas", "matplotlib"} & set(sys.modules)
    assert not heavy, (line, heavy)
"""


def test_answers_need_nothing_that_loads_slowly():
    subprocess.run([sys.executable, "-c", _ASK, *map(" ".join, QUESTIONS)], check=True)


@pytest.mark.parametrize("words", QUESTIONS[:7], ids=" ".join)
def test_answers_come_at_once(words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "lossylab", *words], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_the_list_of_commands_is_by_subject_and_whole(capsys):
    assert sorted(COMMANDS) == sorted(words for group in SUBJECTS.values() for words in group)
    cli.main(["help"])
    said = capsys.readouterr().out
    for subject, members in SUBJECTS.items():
        part = said[said.index(f"{subject}:") :].split("\n\n")[0]
        assert all(f"  lossylab {words} " in part for words in members)
    cli.main(["--version"])
    assert capsys.readouterr().out == f"lossylab {lossylab.__version__}\n"


@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_in_sentences(words):
    command = COMMANDS[words]
    options = cli.command.resolve(command.options)
    texts = [command.summary, options.__doc__.split("\n\n")[0]]
    texts += [spec.help for spec in specs(options).values()]
    for text in texts:
        assert text[0] == text[0].upper(), text
        assert text.endswith((".", ")")), text


def test_help_of_a_command_can_be_asked_for_in_both_ways(capsys):
    cli.main(["help", "import", "stylegan"])
    first = capsys.readouterr().out
    cli.main(["import", "stylegan", "--help"])
    assert first == capsys.readouterr().out
    assert "usage: lossylab import stylegan SOURCE OUTPUT [flags]" in first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--verison"], "unknown flag --verison: did you mean --version?"),
        (["evl", "rd"], "unknown command 'evl': did you mean eval rd"),
        (["eval", "wcgan"], "unknown command 'eval wcgan': did you mean eval wcdgan"),
        (["eval", "xyzzy"], "unknown command 'eval xyzzy'; `lossylab eval` lists all"),
        (
            ["import", "arcnn.mat", "out"],
            "'import arcnn.mat': did you mean import lpips or import restorer or import stylegan?",
        ),
        (["imprt"], "'imprt': did you mean import lpips or import restorer or import stylegan?"),
        (["trian"], "unknown command 'trian'; `lossylab train` lists all"),
        (["wcdgan"], "unknown command 'wcdgan': did you mean .*eval wcdgan"),
        (["xyzzy"], "unknown command 'xyzzy'; `lossylab help` lists all"),
        (
            ["jpeg", "a", "b", "--model=m", "--hufman=x"],
            "unknown flag --hufman: did you mean --huff",
        ),
        (["jpeg", "a", "b", "--model=m", "--max_pixels=9"], "--max_pixels=9 must be at least 4096"),
        (
            ["import", "stylegan", "a.pkl", "b.npz", "--contrast=0"],
            "--contrast=0.0 must be at least",
        ),
        (["doctor", "please"], r"unexpected arguments: please \(flags only\)"),
    ],
)
def test_wrong_usage_is_told_with_a_way_out(words, message):
    with pytest.raises(UsageError, match=message):
        cli.main(words)


def test_options_know_what_the_library_knows():
    """Options import nothing heavy, so names and sizes stand in both places."""
    assert {name: severity for name, (_, severity) in SEVERITIES.items()} == {
        name: kind.severity for name, kind in DISTORTIONS.items()
    }
    assert specs(JpegOptions)["huffman"].choices == jpeg_files.HUFFMAN
    assert specs(SampleOptions)["sampler"].choices == tuple(sample.SAMPLERS)
    assert default_of(JpegOptions, "max_pixels") == jpeg.MAX_PIXELS
    assert default_of(RestoreOptions, "max_pixels") == restorer.MAX_PIXELS
    assert SADCT == restoring.SADCT


@pytest.mark.parametrize(
    "words",
    [
        ["train", "wcdgan", "--train_data=missing", "--run_dir=run"],
        ["eval", "restoration", "--data=missing", "--out=out"],
        ["eval", "rd", "--data=missing", "--out=out"],
    ],
)
def test_missing_images_are_told_before_tensorflow_is_imported(words, tmp_path):
    code = f"""
import sys
from lossylab.cli import __main__ as cli
from lossylab.core.errors import CollectionError
try:
    cli.main({words!r})
except CollectionError as error:
    print(error, "tensorflow" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "no images found for 'missing'" in done.stdout
    assert done.stdout.endswith("False\n")
    assert not list(tmp_path.iterdir())
