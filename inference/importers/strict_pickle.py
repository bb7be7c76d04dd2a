"""Pickles as data: a reader that calls nothing, and takes no more memory than the file has bytes.

Python's unpicklers call what a pickle names. This one builds plain values, and for all else an
`Object` that holds what the pickle said: name, arguments, state. Names must be on a list. Keys are
texts and numbers, so that no nested key is ever hashed; numbers are short; every length is compared
with what is left of the file before anything is set aside. Protocols 0 to 5 are read.
"""

from __future__ import annotations

import codecs
import dataclasses
import os
import stat
import struct
from collections.abc import Callable, Set
from pickle import UnpicklingError
from typing import Any, BinaryIO, TypeVar

from lossylab.core.errors import UsageError

_LINE = 2**16  # bytes: no line of a pickle is longer
_DIGITS = 20  # bytes: no number is longer
_MARK = object()
_SCALAR_KEYS = (str, bytes, int, float)
_Contents = TypeVar("_Contents")


class ForeignNameError(UnpicklingError):
    """A pickle that names what it may not.

    Attributes:
      module: where that lies.
    """

    def __init__(self, module: str, name: str, purpose: str) -> None:
        """The message says what was named."""
        super().__init__(f"it names {module}.{name}, which {purpose} do not need")
        self.module = module


@dataclasses.dataclass(frozen=True)
class Global:
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclasses.dataclass(eq=False, repr=False)
class Object:
    """What calling a global, or persistent storage, would have made.

    Attributes:
      kind: what was called; None for persistent storage.
      arguments: what it was called with, or the storage's identifier.
      items: what was set by key afterwards.
      state: what it was given afterwards, once.
    """

    kind: Global | None
    arguments: tuple
    items: dict = dataclasses.field(default_factory=dict)
    state: Any = None

    def __repr__(self) -> str:
        return "storage" if self.kind is None else f"{self.kind.module}.{self.kind.name}(...)"


class _Source:
    """A file that gives no more than it has, so that nothing is set aside for what is not there."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise UnpicklingError("it ends too early")
        data = self._file.read(count)
        if len(data) != count:
            raise UnpicklingError("it ends too early")
        self._left -= count
        return data

    def line(self) -> bytes:
        data = self._file.readline(min(_LINE, self._left))
        if not data.endswith(b"\n"):
            raise UnpicklingError("it ends too early, or a line of it is too long")
        self._left -= len(data)
        return data[:-1]

    def number(self, form: str) -> int:
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]


def read_file(path: str, kind: str, read: Callable[[BinaryIO, int], _Contents]) -> _Contents:
    """What is read of a file of pickles.

    Args:
      path: of the file.
      kind: what it should be, for messages.
      read: from the open file and its size to its contents.

    Raises:
      UsageError: if the file is missing, no file, or anything is wrong with its contents.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"{path} is no file")
        with open(path, "rb") as file:
            return read(file, os.fstat(file.fileno()).st_size)
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    # Whatever a damaged pickle makes of the numbers and texts in it.
    except Exception as error:
        raise UsageError(
            f"{path} is no {kind}, or damaged: {error or type(error).__name__}"
        ) from error


def load(file: BinaryIO, size: int, allowed: Set[tuple[str, str]], purpose: str) -> Any:
    """The value of the pickle that begins at a file's position.

    Args:
      file: open for reading; its position ends behind the pickle.
      size: bytes that are left of it.
      allowed: modules and names that a pickle may name.
      purpose: what it is read for, for the message.

    Returns:
      None, bool, int, float, str, bytes, list, tuple, dict, `Global` and `Object`s of these.

    Raises:
      ForeignNameError: if it names anything else.
      UnpicklingError: if it is damaged, or does what no data does.
    """
    return _Machine(_Source(file, size), allowed, purpose).run()


class _Machine:
    """The stack machine of pickles, without calls."""

    def __init__(self, source: _Source, allowed: Set[tuple[str, str]], purpose: str) -> None:
        self._source, self._allowed, self._purpose = source, allowed, purpose
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        while True:
            code = self._source.read(1)
            if code == b".":
                return self._pop()
            work = _CODES.get(code)
            if code == b"P":
                raise UnpicklingError("it has a persistent identifier in a line of text")
            if work is None:
                raise UnpicklingError(f"it has the instruction {code!r}, which data do not need")
            work(self)

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise UnpicklingError("it takes what it has not made")
        return self._stack.pop()

    def _top(self) -> Any:
        self.push(self._pop())
        return self._stack[-1]

    def marked(self) -> list[Any]:
        """What lies above the last mark, which is taken away too."""
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                values = self._stack[index + 1 :]
                del self._stack[index:]
                return values
        raise UnpicklingError("it takes what it has not marked")

    def last(self, count: int) -> tuple:
        return tuple(reversed([self._pop() for _ in range(count)]))

    def text(self, form: str, encoding: str | None) -> None:
        """Pushes text or, without an encoding, bytes of the length that is said before them."""
        data = self._source.read(self._source.number(form))
        self.push(data if encoding is None else data.decode(encoding, "surrogatepass"))

    def quoted(self) -> None:
        """Pushes a text of protocol 0."""
        data = self._source.line()
        if len(data) < 2 or data[:1] != data[-1:] or data[:1] not in (b"'", b'"'):
            raise UnpicklingError("a text of it has no quotes")
        self.push(codecs.escape_decode(data[1:-1])[0].decode("latin1"))

    def integer(self, form: str) -> None:
        self.push(self._source.number(form))

    def written(self) -> None:
        """Pushes an integer of protocol 0."""
        data = self._source.line()
        if len(data) > 2 * _DIGITS:
            raise UnpicklingError("a number of it is too long")
        flags = {b"00": False, b"01": True}
        self.push(flags[data] if data in flags else int(data.rstrip(b"L")))

    def long(self, form: str) -> None:
        count = self._source.number(form)
        if not 0 <= count <= _DIGITS:
            raise UnpicklingError("a number of it is too long")
        self.push(int.from_bytes(self._source.read(count), "little", signed=True))

    def append(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise UnpicklingError("it appends to something that is no list")
        target += values

    def set_items(self, values: list[Any]) -> None:
        target = self._top()
        items = target.items if isinstance(target, Object) else target
        if not isinstance(items, dict):
            raise UnpicklingError("it sets items of something that has none")
        items.update(_pairs(values))

    def remember(self, index: int) -> None:
        self._memo[index] = self._top()

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise UnpicklingError("it recalls what it has not remembered")
        self.push(self._memo[index])

    def remember_next(self) -> None:
        self.remember(len(self._memo))

    def named(self, module: Any, name: Any) -> None:
        if (module, name) not in self._allowed:
            raise ForeignNameError(module, name, self._purpose)
        self.push(Global(module, name))

    def global_(self) -> None:
        module, name = self._source.line(), self._source.line()
        self.named(module.decode(), name.decode())

    def instance(self) -> None:
        values = self.marked()
        self.global_()
        self.call(self._pop(), tuple(values))

    def stack_global(self) -> None:
        module, name = self.last(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnpicklingError("a name in it is no text")
        self.named(module, name)

    def call(self, kind: Any, arguments: Any) -> None:
        if not isinstance(kind, Global) or not isinstance(arguments, tuple):
            raise UnpicklingError("it calls something that is no function")
        if kind == Global("_codecs", "encode"):  # bytes, as Python 3 writes them for Python 2
            if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] != "latin1":
                raise UnpicklingError("it encodes something that is no text")
            self.push(arguments[0].encode("latin1"))
            return
        self.push(Object(kind, arguments))

    def build(self) -> None:
        state, target = self._pop(), self._top()
        if not isinstance(target, Object) or target.kind is None or target.state is not None:
            raise UnpicklingError("it changes something after making it")
        target.state = state

    def persistent(self) -> None:
        identifier = self._pop()
        if not isinstance(identifier, tuple):
            raise UnpicklingError("a persistent identifier in it is no tuple")
        self.push(Object(None, identifier))

    # The instructions that need more than one of these.

    def proto(self) -> None:
        version = self._source.number("<B")
        if version > 5:
            raise UnpicklingError(f"it is of protocol {version}, which is not known")

    def frame(self) -> None:
        if self._source.number("<Q") > self._source._left:
            raise UnpicklingError("it ends too early")

    def reduce(self) -> None:
        kind, arguments = self.last(2)
        self.call(kind, arguments)

    def object_(self) -> None:
        kind, *arguments = self.marked() or [None]
        self.call(kind, tuple(arguments))

    def new_with_names(self) -> None:
        kind, arguments, names = self.last(3)
        if names != {}:
            raise UnpicklingError("it calls something with names")
        self.call(kind, arguments)

    def decimal(self) -> None:
        self.push(float(self._source.line()))

    def plain_text(self) -> None:
        self.push(self._source.line().decode("raw-unicode-escape"))

    def line_index(self) -> int:
        return int(self._source.line())


def _pairs(values: list[Any]) -> dict:
    if len(values) % 2:
        raise UnpicklingError("a key in it has no value")
    keys = values[::2]
    if not all(isinstance(key, _SCALAR_KEYS) for key in keys):
        raise UnpicklingError("a key in it is no text or number")
    return dict(zip(keys, values[1::2]))


_Work = Callable[[_Machine], object]
_CODES: dict[bytes, _Work] = {
    b"\x80": _Machine.proto,
    b"\x95": _Machine.frame,
    b"(": lambda m: m.push(_MARK),
    b"0": lambda m: m.last(1),
    b"1": lambda m: m.marked(),
    b"2": lambda m: m.push(m._top()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.written,
    b"L": _Machine.written,
    b"J": lambda m: m.integer("<i"),
    b"K": lambda m: m.integer("<B"),
    b"M": lambda m: m.integer("<H"),
    b"\x8a": lambda m: m.long("<B"),
    b"\x8b": lambda m: m.long("<i"),
    b"F": _Machine.decimal,
    b"G": lambda m: m.push(struct.unpack(">d", m._source.read(8))[0]),
    b"S": _Machine.quoted,
    b"T": lambda m: m.text("<i", "latin1"),
    b"U": lambda m: m.text("<B", "latin1"),
    b"B": lambda m: m.text("<I", None),
    b"C": lambda m: m.text("<B", None),
    b"\x8e": lambda m: m.text("<Q", None),
    b"\x96": lambda m: m.text("<Q", None),
    b"V": _Machine.plain_text,
    b"X": lambda m: m.text("<I", "utf-8"),
    b"\x8c": lambda m: m.text("<B", "utf-8"),
    b"\x8d": lambda m: m.text("<Q", "utf-8"),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append([m._pop()]),
    b"e": lambda m: m.append(m.marked()),
    b"l": lambda m: m.push(m.marked()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.marked())),
    b"\x85": lambda m: m.push(m.last(1)),
    b"\x86": lambda m: m.push(m.last(2)),
    b"\x87": lambda m: m.push(m.last(3)),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.push(_pairs(m.marked())),
    b"s": lambda m: m.set_items(list(m.last(2))),
    b"u": lambda m: m.set_items(m.marked()),
    b"g": lambda m: m.recall(m.line_index()),
    b"h": lambda m: m.recall(m._source.number("<B")),
    b"j": lambda m: m.recall(m._source.number("<I")),
    b"p": lambda m: m.remember(m.line_index()),
    b"q": lambda m: m.remember(m._source.number("<B")),
    b"r": lambda m: m.remember(m._source.number("<I")),
    b"\x94": _Machine.remember_next,
    b"c": _Machine.global_,
    b"\x93": _Machine.stack_global,
    b"i": _Machine.instance,
    b"o": _Machine.object_,
    b"R": _Machine.reduce,
    b"\x81": _Machine.reduce,
    b"\x92": _Machine.new_with_names,
    b"b": _Machine.build,
    b"Q": _Machine.persistent,
}
