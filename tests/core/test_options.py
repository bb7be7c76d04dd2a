"""core.options and core.flags: every option is checked, and survives JSON and the command line."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from lossylab.core import command, flags
from lossylab.core.errors import UsageError
from lossylab.core.options import Options, argument, option, option_class


@option_class
class _Options(Options):
    """Does nothing.

    lossylab nothing IN
    """

    source: str = argument("Where from. More.")
    rest: tuple[str, ...] = argument("What else.", ())
    rate: float = option(0.5, "Of learning.", above=0.0, maximum=1.0, source="Sec. III")
    steps: int = option(10, "Steps in all.", minimum=1, unit="steps", assumed="not printed")
    name: str | None = option(None, "What to call it.")
    kind: str = option("a", "Which.", choices=("a", "b"))
    sizes: tuple[int, ...] = option((1, 2), "Some sizes.", minimum=0, maximum=2**31 - 1)
    points: tuple[str, ...] = option((), "Points.", repeated=True)
    fast: bool = option(True, "Be quick.")

    def check(self) -> None:
        if self.kind == "b" and self.fast:
            raise UsageError("`kind`=b makes no sense with `fast` of `nothing`")


def test_options_are_frozen_comparable_and_replaceable_in_part():
    options = _Options(source="x")
    assert options == _Options(source="x")
    assert options.replace(steps=3) != options
    assert options.replace(steps=3).steps == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.steps = 2
    with pytest.raises(UsageError, match="`steps`=0 must be at least 1 steps"):
        options.replace(steps=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "`rate`=0.0 must be above 0"),
        ({"rate": 1.5}, "`rate`=1.5 must be at most 1"),
        ({"rate": float("nan")}, "`rate`=nan is not a finite number"),
        ({"rate": "a"}, "`rate` takes a number, got 'a'"),
        ({"rate": True}, "`rate` takes a number, got True"),
        ({"steps": 1.0}, "`steps` takes a whole number, got 1.0"),
        ({"kind": "c"}, "`kind`=c is none of a, b"),
        ({"sizes": (1, -1)}, "`sizes`=-1 must be at least 0"),
        ({"sizes": (2**31,)}, "`sizes`=2147483648 must be at most 2147483647"),
        ({"sizes": 1}, "`sizes` takes several values, got 1 alone"),
        ({"fast": 1}, "`fast` takes true or false, got 1"),
        ({"steps": None}, "`steps` needs a value"),
        ({"kind": "b"}, "`kind`=b makes no sense"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        _Options(source="x", **changes)


_TEXT = st.text(st.characters(codec="ascii", exclude_characters="\x00\r\n,\"'"), min_size=1)


@hypothesis.given(
    source=_TEXT.filter(lambda text: not text.startswith("-")),
    rate=st.floats(0.001, 1.0),
    steps=st.integers(1, 10**9),
    name=st.none() | _TEXT,
    sizes=st.lists(st.integers(0, 99), max_size=3).map(tuple),
    points=st.lists(_TEXT, max_size=2).map(tuple),
    fast=st.booleans(),
)
def test_options_come_back_from_json_and_from_the_command_line(**values):
    options = _Options(**values)
    assert _Options.from_json(options.to_json()) == options
    words = []
    for name, value in values.items():
        if name == "points":
            words += [f"--points={point}" for point in value]
        elif name == "fast":
            words.append("--fast" if value else "--nofast")
        elif name == "sizes":
            words.append(f"--sizes={','.join(map(str, value))}")
        elif value is not None and name != "source":
            words.append(f"--{name}={value}")
    assert flags.parse(_Options, [*words, options.source]) == options


def test_json_of_other_options_is_refused():
    with pytest.raises(UsageError, match="_Options has no `speed`"):
        _Options.from_json({"source": "x", "speed": 1})
    with pytest.raises(UsageError, match="`source` is needed"):
        _Options.from_json({})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "SOURCE is needed: where from"),
        (["x", "--stesp=1"], "unknown flag --stesp: did you mean --steps or --sizes?"),
        (["x", "--qqq"], "unknown flag --qqq; see --help"),
        (["x", "--steps=a"], "--steps takes a whole number, got 'a'"),
        (["x", "--steps=0"], "--steps=0 must be at least 1 steps"),
        (["x", "--kind=b"], "--kind=b makes no sense with --fast of `nothing`"),
        (["x", "--flagfile=nowhere.flags"], "nowhere.flags"),
    ],
)
def test_messages_of_commands_name_flags(words, message):
    with pytest.raises(UsageError) as raised:
        command.run(_Options, lambda options: options, words, "lossylab nothing")
    assert message in str(raised.value)


def test_flag_files_are_read_also_those_of_the_package(tmp_path):
    (tmp_path / "small.flags").write_text("# few\n--steps=3\n--nofast\n")
    own = flags.parse(_Options, [f"--flagfile={tmp_path / 'small.flags'}", "x", "y", "z"])
    assert own == _Options(source="x", rest=("y", "z"), steps=3, fast=False)
    packaged = flags.parse(_Options, ["--flagfile=small", "x", "--steps=4"], str(tmp_path))
    assert (packaged.steps, packaged.fast) == (4, False)


def test_help_is_in_groups_with_defaults_bounds_and_sources(capsys):
    command.run(_Options, pytest.fail, ["--help"], "lossylab nothing")
    said = capsys.readouterr().out
    assert said.startswith("Does nothing.\n\nlossylab nothing IN\n")
    assert "usage: lossylab nothing SOURCE [REST...] [flags]" in said
    must, paper, rest = (
        said.index(word) for word in ("Required:", "Set by the paper:", "Other options:")
    )
    assert must < said.index("  SOURCE") < paper < said.index("--rate=NUMBER") < rest
    assert rest < said.index("--[no]fast")
    assert "Of learning. (above 0; at most 1; default 0.5; Sec. III)" in said
    assert "Steps in all. (at least 1; steps; default 10; assumed: not printed)" in said
    assert "Which. (one of a, b; default a)" in said


def test_a_module_that_runs_as_a_program_ends_with_an_exit_status(monkeypatch, capsys):
    for name, value in {"handlers": [], "level": 0, "propagate": False}.items():
        monkeypatch.setattr(command.log, name, value)
    monkeypatch.setattr("sys.argv", ["nothing.py", "x", "--steps=0"])
    with pytest.raises(SystemExit) as stopped:
        command.as_program(_Options, pytest.fail, "lossylab nothing")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: --steps=0 must be at least 1 steps\n"
    made = []
    monkeypatch.setattr("sys.argv", ["nothing.py", "x"])
    command.as_program(_Options, made.append, "lossylab nothing")
    assert made == [_Options(source="x")]
