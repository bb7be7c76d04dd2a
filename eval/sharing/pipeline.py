"""Images measured by Apache Beam's workers (extra `beam`).

An element of the pipeline is some images with the rows that are known of them. Its worker measures
what is missing and writes the rows to a file that appears whole: an element that is tried again, in
whatever process, finds them or writes them once more, and of equal rows one is kept. So a killed
worker loses a minute, and a killed command is given again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import logging
import os
import pathlib
import shlex
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lossylab.core import extras, rows, trust
from lossylab.core.errors import LossylabError, UsageError, WorkError
from lossylab.core.options import Options
from lossylab.core.row_lines import Parser, body_of, line
from lossylab.eval.measurements import Measurements, Row
from lossylab.eval.schemas import Schema

log = logging.getLogger("lossylab")

Images = Mapping[str, Sequence[str]]  # files of each set
# From an image's file and the rows known of it to new rows, and what failed, in words.
Measure = Callable[[str, Sequence[Row]], tuple[list[Row], list[str]]]

_TOGETHER = 32  # images of an element at most,
_ELEMENTS = 256  # and as few as there are so many elements
_SECONDS = 60  # after which a worker writes what it has
_ATTEMPTS = 3  # of a pipeline whose workers die
_FAILED = "failed"
_QUIET = ("--default_sdk_harness_log_level=WARNING",)


@dataclasses.dataclass(frozen=True)
class Opener:
    """Makes, once in a worker's process, what measures images: models are loaded by it.

    Attributes:
      function: takes the options; of a module that workers can import.
      options: of the measurement, with `trusted_hash`.
      data: the set of images, for functions that take it too.
    """

    function: Callable[..., Measure]
    options: Options
    data: str | None = None

    def __call__(self) -> Measure:
        """What measures."""
        with _loading:
            return _opened(self)

    def of(self, data: str) -> Opener:
        """The same of one of several sets of images."""
        return Opener(self.function, self.options, data)

    def trusting(self) -> contextlib.AbstractContextManager[None]:
        """In it, exports of other hashes than the options' are refused."""
        return trust.only(getattr(self.options, "trusted_hash", ()))


_loading = threading.Lock()


@functools.lru_cache(1)
def _opened(opener: Opener) -> Measure:
    begin = time.monotonic()
    more = () if opener.data is None else (opener.data,)
    measure = opener.function(opener.options, *more)
    log.info("worker %d is ready after %.1f s", os.getpid(), time.monotonic() - begin)
    return measure


class Pipeline:
    """A measurement of images by workers.

    Attributes:
      place: the folder of the workers' files.
    """

    def __init__(self, runner: str, out: str, columns: Sequence[str], opener: Opener):
        """Prepares it.

        Args:
          runner: options of Beam's runner; with --temp_location rows go through that place, else
            through a folder in `out`, which workers must see under that name.
          out: the measurement's folder.
          columns: of its rows.
          opener: makes what measures.

        Raises:
          UsageError: if Beam is not installed, or its options are none.
        """
        self._beam, self._files = _packages()
        try:
            words = shlex.split(runner)
        except ValueError as error:
            raise UsageError(f"`beam`: {error}") from error
        options = importlib.import_module("apache_beam.options.pipeline_options")
        self._options = options.PipelineOptions([*_QUIET, *words], save_main_session=False)
        temporary = self._options.get_all_options().get("temp_location")
        version, whole = rows.identity(tuple(columns)), os.path.abspath(out)
        self.place = os.path.join(whole, f"beam-{version}")
        if temporary:
            self.place = self._files.join(temporary, "lossylab", rows.identity(whole, version))
        self._columns, self._opener = tuple(columns), opener

    def run(self, paths: Sequence[str], known: Iterable[Row]) -> None:
        """Measures what is missing of the images.

        Args:
          paths: their files, which workers must see under these names.
          known: rows of them.

        Raises:
          WorkError: if the pipeline failed; what was measured is found again.
        """
        self.prepare()
        lines = (_line(row, self._columns) for row in known)
        _write(self._files, self.place, "known.csv", lines)
        for attempt in range(1, _ATTEMPTS + 1):
            self._files.delete(self._found(f"{_FAILED}*"))
            before = len(self._found("part-*.csv"))
            try:
                self._run_once([os.path.abspath(path) for path in paths])
                return
            except RuntimeError as error:
                said = f"the pipeline failed: {_last_line(error)}"
                log.debug("the pipeline failed", exc_info=True)
                moved = len(self._found("part-*.csv")) > before
                if attempt == _ATTEMPTS or not moved:
                    raise WorkError(
                        f"{said}\nThe same command goes on with what was measured"
                    ) from error
                log.warning("%s: trying again with what is missing", said)

    def prepare(self) -> None:
        """Creates the folder of the workers' files."""
        with contextlib.suppress(OSError):  # is there
            self._files.mkdirs(self.place)

    def _run_once(self, paths: list[str]) -> None:
        beam = self._beam
        count = max(1, min(len(paths), max(_ELEMENTS, -(-len(paths) // _TOGETHER))))
        element = functools.partial(batch_of, count)
        named = [(element(stem(path)), path) for path in paths]
        parsed = functools.partial(_parsed, Parser(self._columns))
        with beam.Pipeline(options=self._options) as pipeline:
            known = (
                pipeline
                | "rows" >> beam.io.ReadFromText(self._files.join(self.place, "*.csv"))
                | "parse" >> beam.FlatMap(parsed)
                | "of images" >> beam.Map(functools.partial(_keyed, element))
            )
            images = pipeline | "images" >> beam.Create(named)
            measured = (
                {"paths": images, "known": known}
                | "batches" >> beam.CoGroupByKey()
                | "apart" >> beam.Reshuffle()
                | "measure"
                >> beam.FlatMapTuple(
                    functools.partial(_measure, self._opener, self.place, self._columns)
                ).with_outputs(_FAILED, main="done")
            )
            failed = self._files.join(self.place, _FAILED)
            _ = measured[_FAILED] | "failures" >> beam.io.WriteToText(failed)

    def rows(self) -> Iterator[Row]:
        """The rows that workers have written, some of them several times."""
        parser = Parser(self._columns)
        for path in self._found("part-*.csv"):
            for text in self._lines(path):
                if (body := body_of(text)) is not None:
                    yield parser(body)

    def failures(self) -> list[str]:
        """What could not be measured, in words."""
        paths = self._found(f"{_FAILED}*")
        return sorted({json.loads(text) for path in paths for text in self._lines(path)})

    def clear(self) -> None:
        """Removes the workers' files."""
        self._files.delete([self.place])

    def _lines(self, path: str) -> Iterator[bytes]:
        with self._files.open(path) as file:
            while text := file.readline():
                yield text

    def _found(self, pattern: str) -> list[str]:
        matches = self._files.match([self._files.join(self.place, pattern)])
        return sorted(each.path for each in matches[0].metadata_list)


def fill(
    table: Measurements, runner: str, out: str, schema: Schema, opener: Opener, images: Images
) -> None:
    """Has workers measure what a table lacks of sets of images.

    Args:
      table: of the rows.
      runner: see `Pipeline`.
      out: likewise.
      schema: of the rows.
      opener: likewise.
      images: files of each set.

    Raises:
      UsageError, WorkError: as `Pipeline`.
      WorkError: at the end, if images could not be measured; the others are.
    """
    failed = []
    for data, paths in images.items():
        pipeline = Pipeline(runner, out, schema.columns, opener.of(data))
        pipeline.run(paths, (row for row in table if row["data"] == data))
        table.add(pipeline.rows())
        failed += pipeline.failures()
        pipeline.clear()
    if failed:
        raise WorkError(
            f"{len(failed)} images could not be measured; the others are in {out}:\n"
            + "\n".join(failed)
        )


def alone(
    schema: Schema, path: str, known: Sequence[Row], measure: Callable[[Measurements], object]
) -> tuple[list[Row], list[str]]:
    """Measures one image with a table of its own.

    Args:
      schema: of the rows.
      path: the image's file.
      known: rows of it.
      measure: adds to a table what it lacks.

    Returns:
      The rows that were missing, and what could not be measured, in words.
    """
    table, failed = Measurements.of(None, schema), []
    table.add(known)
    try:
        measure(table)
    except LossylabError as error:
        failed.append(f"{path}: {error}")
    return [row for row in table if row not in known], failed


def _measure(
    opener: Opener, place: str, columns: Sequence[str], number: int, element: dict[str, Any]
) -> Iterator[Any]:
    """Measures an element's images in a worker; gives what failed."""
    del number
    beam = _packages()[0]
    known: dict[str, list[Row]] = {}
    for row in element["known"]:
        known.setdefault(row["image"], []).append(row)
    found: list[Row] = []
    written = time.monotonic()
    with opener.trusting():
        measure = opener()
        for path in element["paths"]:
            new, failed = measure(path, known.get(stem(path), ()))
            found += new
            yield from (beam.pvalue.TaggedOutput(_FAILED, json.dumps(text)) for text in failed)
            if found and time.monotonic() - written > _SECONDS:
                write_part(place, found, columns)
                found, written = [], time.monotonic()
    if found:
        write_part(place, found, columns)


def write_part(place: str, some: Sequence[Row], columns: Sequence[str]) -> None:
    """Writes a worker's rows; of rows of one name those of the later file hold."""
    name = f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.csv"
    _write(_packages()[1], place, name, (_line(row, columns) for row in some))


def _write(files: Any, place: str, name: str, lines: Iterable[bytes]) -> None:
    """Writes a file beside, then renames it."""
    beside = files.join(place, f"{name}.{uuid.uuid4().hex}")
    with files.create(beside) as file:
        for each in lines:
            file.write(each)
    files.rename([beside], [files.join(place, name)])


def _parsed(parser: Parser, text: str) -> list[Row]:
    """The row of a line, if it is as it was written."""
    body = body_of(f"{text}\n".encode())
    return [] if body is None else [parser(body)]


def _keyed(element: Callable[[str], int], row: Row) -> tuple[int, Row]:
    return element(row["image"]), row


def batch_of(count: int, name: str) -> int:
    """Which of `count` elements an image of this name is in, on every machine."""
    return zlib.crc32(name.encode(errors="surrogateescape")) % count


def stem(path: str) -> str:
    """What rows call an image."""
    return pathlib.Path(path).stem


def _line(row: Row, columns: Sequence[str]) -> bytes:
    return line([rows.text(row[name]) for name in columns])


def _last_line(error: Exception) -> str:
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)


def is_installed() -> bool:
    """Whether Beam is there."""
    return importlib.util.find_spec("apache_beam") is not None


def _packages() -> tuple[Any, Any]:
    """Beam, and the file systems that it knows; raises UsageError without it."""
    try:
        beam = importlib.import_module("apache_beam")
        files = importlib.import_module("apache_beam.io.filesystems").FileSystems
    except ImportError as error:
        raise UsageError(f"`beam` needs {error.name}: {extras.cure('beam')}") from error
    return beam, files
