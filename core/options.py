"""Typed options: one frozen dataclass for each command and training.

  @option_class
  class CompressOptions(Options):
      "Compresses images with an exported codec."  # what --help begins with

      input: str = argument("Image file, folder, glob or named collection.")
      model: str = option(help="Folder of the exported codec.")
      overwrite: bool = option(False, "Replace files that exist.")

Options are checked when they are made, printable, comparable, JSON both ways, replaceable in part.
Command lines are made of them (`lossylab.core.flags`), never the other way round: whatever works
below the command line takes the object. Modules that define options import no TensorFlow.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from typing_extensions import Self

from lossylab.core.errors import UsageError

_META = "lossylab"
_SCALARS = (bool, int, float, str)
_Class = TypeVar("_Class")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is known of one option beside its name, type and default.

    Attributes:
      help: whole sentences; the first says what the option is.
      unit: of a number, such as "pixels".
      source: where the default comes from, such as "Sec. III-D".
      assumed: why the default is what it is where the paper leaves it open.
      choices: the values that are possible; of a tuple, of each member.
      minimum: smallest number allowed.
      maximum: largest number allowed.
      above: number that it must exceed.
      below: number that it must stay below.
      may_differ: whether a resumed run may be given another value.
      positional: whether the command line gives it without a name.
      repeated: whether a flag of it may be given several times, whose values hold commas.
      images: whether it names images that must exist.
    """

    help: str
    unit: str = ""
    source: str = ""
    assumed: str = ""
    choices: tuple | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    may_differ: bool = False
    positional: bool = False
    repeated: bool = False
    images: bool = False


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",  # noqa: A002 - what it is called everywhere
    **details: Any,
) -> Any:
    """A field of an options class.

    Args:
      default: its value where none is given; without one the option is needed.
      help: whole sentences.
      **details: of `Spec`.

    Returns:
      The dataclass field.
    """
    choices = details.pop("choices", None)
    spec = Spec(help, choices=None if choices is None else tuple(choices), **details)
    return dataclasses.field(default=default, metadata={_META: spec}, kw_only=True)


def argument(help: str, default: Any = dataclasses.MISSING) -> Any:  # noqa: A002
    """A field of an options class that the command line gives by its place."""
    return option(default, help, positional=True)


def option_class(definition: type[_Class]) -> type[_Class]:
    """Decorates a subclass of `Options`: a frozen dataclass whose arguments have names."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(definition)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options; checks types, bounds and choices when an object is made."""

    if typing.TYPE_CHECKING:  # checkers do not see defaults that are given by position

        def __init__(self, **values: Any) -> None: ...  # noqa: D107

    def __post_init__(self) -> None:
        for name, spec in specs(type(self)).items():
            given = getattr(self, name)
            object.__setattr__(self, name, _checked(name, given, kind_of(type(self), name), spec))
        self.check()

    def check(self) -> None:
        """Refuses options that contradict each other; subclasses call their base's.

        Raises:
          UsageError: whose message has the options' names in backquotes.
        """

    @property
    def reads_images(self) -> bool:
        """Whether the images that options name must be there."""
        return True

    def replace(self, **changes: Any) -> Self:
        """The same options with some others, checked again."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """All options as JSON values, by name."""
        values = {name: getattr(self, name) for name in specs(type(self))}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in sorted(values.items())}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The defaults of those options that have one, as JSON values, by name."""
        values = {name: default_of(cls, name) for name in specs(cls) if name not in needed(cls)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Options of `to_json`'s values.

        Raises:
          UsageError: if a name is unknown or missing, or a value makes no sense.
        """
        unknown = sorted(set(values) - set(specs(cls)))
        if unknown:
            raise UsageError(f"{cls.__name__} has no {', '.join(f'`{name}`' for name in unknown)}")
        missing = [name for name in needed(cls) if name not in values]
        if missing:
            raise UsageError(f"{', '.join(f'`{name}`' for name in missing)} is needed")
        return cls(**values)


@functools.cache
def specs(options: type[Options]) -> dict[str, Spec]:
    """What is known of each option, by name, in the order of definition."""
    fields = dataclasses.fields(options)
    return {field.name: field.metadata[_META] for field in fields}


def needed(options: type[Options]) -> list[str]:
    """Names of the options that have no default."""
    fields = dataclasses.fields(options)
    return [field.name for field in fields if field.default is dataclasses.MISSING]


def default_of(options: type[Options], name: str) -> Any:
    """An option's default; `dataclasses.MISSING` if it is needed."""
    fields = dataclasses.fields(options)
    return next(field.default for field in fields if field.name == name)


@dataclasses.dataclass(frozen=True)
class Kind:
    """An option's type: of its value or of each of its values, how many, and whether at all."""

    scalar: type
    many: bool
    optional: bool


@functools.cache
def kind_of(options: type[Options], name: str) -> Kind:
    """An option's type; raises TypeError if options cannot have such a one."""
    hint = _hints(options)[name]
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [each for each in typing.get_args(hint) if each is not type(None)]
        optional = len(members) < len(typing.get_args(hint))
        if len(members) != 1:
            raise TypeError(f"{options.__name__}.{name}: {hint} is no type of an option")
        hint = members[0]
    many = typing.get_origin(hint) is tuple
    scalar = typing.get_args(hint)[0] if many else hint
    if scalar not in _SCALARS:
        raise TypeError(f"{options.__name__}.{name}: {hint} is no type of an option")
    return Kind(scalar, many, optional)


@functools.cache
def _hints(options: type[Options]) -> dict[str, Any]:
    return typing.get_type_hints(options)


def require(condition: object, message: str) -> None:
    """Raises UsageError(message) unless the condition holds."""
    if not condition:
        raise UsageError(message)


@contextlib.contextmanager
def naming(option: str) -> Iterator[None]:
    """Begins messages about what an option was given with the option's name in backquotes.

    with naming("model"):
        codec = Codec(options.model)
    """
    with prefixed(f"`{option}`"):
        yield


@contextlib.contextmanager
def prefixed(words: str) -> Iterator[None]:
    """Begins messages of UsageErrors with what they are about, a run's name such as mse_0.01."""
    try:
        yield
    except UsageError as error:
        error.args = (f"{words}: {error}",)
        raise


def require_known(name: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raises UsageError if an option's list has a member that is not known."""
    unknown = [each for each in given if each not in known]
    require(not unknown, f"`{name}` knows {', '.join(known)}, not {', '.join(unknown)}")


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in order."""
    return [name for name, count in collections.Counter(names).items() if count > 1]


def require_distinct(what: str, names: Iterable[str]) -> None:
    """Raises UsageError if rows of two of these things would bear the same name."""
    same = repeated(names)
    require(not same, f"several {what} are called {', '.join(same[:3])}: rows would be mixed up")


def number(limit: float | None) -> str:
    """A bound as messages and help show it: whole numbers with all their digits."""
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _checked(name: str, value: Any, kind: Kind, spec: Spec) -> Any:
    """The value in its type; raises UsageError if it is none that the option takes."""
    if value is None:
        require(kind.optional, f"`{name}` needs a value")
        return None
    if not kind.many:
        return _scalar(name, value, kind.scalar, spec)
    require(isinstance(value, (list, tuple)), f"`{name}` takes several values, got {value!r} alone")
    return tuple(_scalar(name, each, kind.scalar, spec) for each in value)


def _scalar(name: str, value: Any, kind: type, spec: Spec) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    require(right, f"`{name}` takes {_WORDS[kind]}, got {value!r}")
    if kind is float:
        require(math.isfinite(value), f"`{name}`={value} is not a finite number")
    if spec.choices is not None:
        shown = ", ".join(map(str, spec.choices))
        require(value in spec.choices, f"`{name}`={value} is none of {shown}")
    for holds, bound, words in _BOUNDS:
        limit = getattr(spec, bound)
        require(
            limit is None or holds(value, limit),
            f"`{name}`={value} must be {words} {number(limit)}"
            + (f" {spec.unit}" if spec.unit else ""),
        )
    return value


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_BOUNDS: tuple[tuple[Callable, str, str], ...] = (
    (lambda value, limit: value >= limit, "minimum", "at least"),
    (lambda value, limit: value <= limit, "maximum", "at most"),
    (lambda value, limit: value > limit, "above", "above"),
    (lambda value, limit: value < limit, "below", "below"),
)
