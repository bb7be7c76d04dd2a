"""Codec x image x rate to rows: every encoding, decoding and measurement is done once.

Rows are found again by what decides them: the data set, the image's content, the codec's weights,
options and version, and how it is measured. A sweep that was killed goes on where it was; one that
finds all its rows is done in seconds; rows of other weights or versions are superseded.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import functools
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tqdm
from PIL import Image

from lossylab.core import ffmpeg, rows
from lossylab.core.digest import digest
from lossylab.core.environment import timed
from lossylab.core.errors import BitstreamError, CodecError, ImageError, WorkError
from lossylab.core.files import replacing, write_bytes
from lossylab.data.decode import read_image
from lossylab.eval import rate_search
from lossylab.eval.measurements import Measurements, Row, without_data
from lossylab.eval.measures import Libvmaf, Measures
from lossylab.eval.schemas import coded
from lossylab.eval.sharing.pipeline import Opener, Pipeline
from lossylab.inference.codecs.base import HIGHEST_BPP, LOWEST_BPP, POINTS, ImageCodec
from lossylab.inference.export.container import SUFFIX

# What concerns one image and codec: the others are measured all the same.
_FAILURES = (CodecError, ImageError, BitstreamError, WorkError, ffmpeg.FFmpegError)
_PROBES = ("identity", "content", "bytes")


class Sweep:
    """Rows of one folder, and the work that is still to do for them."""

    def __init__(
        self,
        folder: str | None,
        codecs: Sequence[ImageCodec],
        keep_files: bool = False,
        measures: Measures | None = None,
        data: str = "",
    ):
        """Opens the folder's rows; those of these codecs' other versions are superseded.

        Args:
          folder: gets rows.csv and probes.csv, the sizes met while searching for rates; None for
            `alone`, which needs none.
          codecs: what to measure.
          keep_files: whether to write learned codecs' files and decoded images too.
          measures: of the decoded images; `Libvmaf` if not given.
          data: name of the images' set; its rows of images that it has no more are superseded.

        Raises:
          CodecError: if a codec's software is missing.
          WorkError: if the rows are damaged.
        """
        self._folder = None if folder is None else pathlib.Path(folder)
        self._codecs, self._keep = list(codecs), keep_files
        self._measures, self._data = measures or Libvmaf(), data
        self._schema = coded(self._measures.names, self._measures.tool)
        self._identities = {
            (codec.name, setting): self._identity(codec, setting)
            for codec in codecs
            for setting in codec.settings
        }
        with contextlib.ExitStack() as opened:
            added = {**self._measures.added, **(without_data(folder) if folder else {})}
            self._rows = Measurements.of(self._path("rows.csv"), self._schema, added)
            opened.callback(self._rows.close)
            self._probes = _probes(self._path("probes.csv"))
            opened.callback(self._probes.close)
            looked_at = ("codec", "setting", "identity")
            self._rows.supersede(self._is_old, "are of other weights or versions", looked_at)
            self._opened = opened.pop_all()

    def _path(self, name: str) -> pathlib.Path | None:
        return None if self._folder is None else self._folder / name

    def close(self) -> None:
        """Lets other processes write the rows."""
        self._opened.close()

    def run(self, paths: Sequence[str], jobs: int) -> pd.DataFrame:
        """Measures what is missing.

        Args:
          paths: image files.
          jobs: how many pieces of work at a time.

        Returns:
          The rows of these codecs and images, by codec, image and rate.

        Raises:
          WorkError: at the end, if something could not be measured; the rest is.
        """
        found, failed = [], []
        total = sum(POINTS if c.searched else len(c.settings) for c in self._codecs) * len(paths)
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(tqdm.tqdm(total=total, unit="point", desc="measuring"))
            pool = concurrent.futures.ThreadPoolExecutor(jobs)
            stack.callback(pool.shutdown, cancel_futures=True)
            # Threads do: the work is in ffmpeg, TensorFlow and Pillow, which let go of
            # Python's lock. The longest work comes first, so that all threads end together.
            pending = {
                pool.submit(self._curve, codec, path, bar): (codec, path)
                for codec in sorted(self._codecs, key=lambda c: -c.cost)
                for path in paths
            }
            for future in concurrent.futures.as_completed(pending):
                codec, path = pending[future]
                try:
                    found += future.result()
                except _FAILURES as error:
                    failed.append(f"{codec.name}, {path}: {error}")
        self._finish(found, paths)
        self._refuse(failed, len(pending))
        table = rows.frame(found, self._schema.text)
        order = [codec.name for codec in self._codecs]
        table = table.sort_values(
            ["codec", "image", "point"],
            key=lambda column: column.map(order.index) if column.name == "codec" else column,
        )
        return table.reset_index(drop=True)

    def run_by(self, runner: str, opener: Opener, paths: Sequence[str]) -> None:
        """Has Apache Beam's workers measure what is missing.

        Args:
          runner: options of Beam's runner.
          opener: gives the workers `alone` of such a sweep.
          paths: image files.

        Raises:
          UsageError: if Beam is not installed.
          WorkError: as `run`, and if the pipeline fails.
        """
        pipeline = Pipeline(runner, str(self._folder), self._schema.columns, opener)
        pipeline.run(paths, (row for row in self._rows if row["data"] == self._data))
        self._rows.add(row for row in pipeline.rows() if not self._is_old(row))
        self._finish(pipeline.rows(), paths)
        failed = pipeline.failures()
        pipeline.clear()
        self._refuse(failed, len(paths) * len(self._codecs))

    def alone(self, path: str, known: Sequence[Row]) -> tuple[list[Row], list[str]]:
        """Measures one image, whatever the folder holds; usable by several threads.

        Args:
          path: its file.
          known: rows of it.

        Returns:
          Those that were missing, and what could not be measured, in words.
        """
        own = copy.copy(self)
        own._rows = Measurements.of(None, self._schema)
        own._probes = _probes(None)
        own._rows.add(row for row in known if not self._is_old(row))
        failed = []
        for codec in self._codecs:
            try:
                own._curve(codec, path, tqdm.tqdm(disable=True))
            except _FAILURES as error:
                failed.append(f"{codec.name}, {path}: {error}")
        return [row for row in own._rows if row not in known], failed

    def _finish(self, found: Iterable[Row], paths: Sequence[str]) -> None:
        """Supersedes rows of images that are not what they were."""
        now = {(row["codec"], row["image"]): row["content"] for row in found}
        names = {pathlib.Path(path).stem for path in paths}

        def is_old(row: dict[str, str]) -> bool:
            """Whether a row is of an image that has changed, or is not in its set any more."""
            content = now.get((row["codec"], row["image"]), row["content"])
            gone = bool(self._data) and row["image"] not in names
            return row["data"] == self._data and (content != row["content"] or gone)

        looked_at = ("codec", "data", "image", "content")
        self._rows.supersede(is_old, "are of images that have changed", looked_at)

    def _refuse(self, failed: Sequence[str], count: int) -> None:
        """Raises WorkError if anything could not be measured."""
        if failed:
            raise WorkError(
                f"{len(failed)} of {count} curves could not be measured; the others are in "
                f"{self._path('rows.csv')}:\n" + "\n".join(sorted(failed))
            )

    def _curve(self, codec: ImageCodec, path: str, bar: tqdm.tqdm) -> list[dict]:
        """All rows of one codec and image."""
        name = pathlib.Path(path).stem
        image = read_image(path)
        exception = self._measures.exception(image)
        content = rows.identity(digest(image), exception) if exception else digest(image)[:16]
        settings = self._finished(codec, name, content)
        coded: dict[str, tuple] = {}
        if settings is None:
            codec.check(*image.shape[:2])
            settings = list(codec.settings)
            if codec.searched:
                settings = self._search(codec, image, content, coded)
        curve = []
        for point, setting in enumerate(settings):
            facts = {"point": point, "points": len(settings), "setting": setting}
            row = self._rows.get_or_measure(
                self._key(codec, setting, name),
                {"identity": self._identities[codec.name, setting], "content": content},
                functools.partial(self._measure, codec, image, name, facts, coded),
            )
            curve.append(row)
            bar.update()
        return curve

    def _finished(self, codec: ImageCodec, name: str, content: str) -> list[str] | None:
        """The settings of a searched curve all of whose points are known, or None."""
        if not codec.searched:
            return None
        mine = []
        for setting in codec.settings:
            row = self._rows.find(self._key(codec, setting, name))
            if row is not None and row["content"] == content:
                mine.append((int(row["point"]), int(row["points"]), setting))
        if not mine or len(mine) < mine[0][1]:
            return None
        return [setting for _, _, setting in sorted(mine)]

    def _key(self, codec: ImageCodec, setting: str, name: str) -> dict[str, str]:
        return {"codec": codec.name, "setting": setting, "data": self._data, "image": name}

    def _search(
        self, codec: ImageCodec, image: np.ndarray, content: str, coded: dict[str, tuple]
    ) -> list[str]:
        """Settings whose rates are nearest to those wanted; what was coded goes to `coded`."""
        pixels = image.shape[0] * image.shape[1]

        def encoded(setting: str) -> dict[str, int]:
            coded[setting] = timed(codec.encode, image, setting)
            return {"bytes": len(coded[setting][0].data)}

        def rate_of(index: int) -> float:
            setting = codec.settings[index]
            key = {"identity": self._identities[codec.name, setting], "content": content}
            probe = self._probes.get_or_measure(key, {}, functools.partial(encoded, setting))
            return 8 * int(probe["bytes"]) / pixels

        chosen = rate_search.choose(len(codec.settings), rate_of, LOWEST_BPP, HIGHEST_BPP, POINTS)
        return [codec.settings[index] for index in chosen]

    def _measure(
        self,
        codec: ImageCodec,
        image: np.ndarray,
        name: str,
        facts: dict[str, Any],
        coded: dict[str, tuple],
    ) -> dict[str, Any]:
        """A row but for what decides it."""
        setting, (height, width) = facts["setting"], image.shape[:2]
        codec.prepare(image, setting)
        file, encode_ms = coded.get(setting) or timed(codec.encode, image, setting)
        decoded, decode_ms = timed(codec.decode, file, setting)
        if decoded.shape != image.shape:
            raise CodecError(f"{codec.name} decoded {decoded.shape} from {image.shape}")
        if self._keep and self._folder and codec.keeps_files:
            _write_files(self._folder / "files" / codec.name / setting, name, file.data, decoded)
        scores = self._measures(image, decoded, file.data)
        return {
            **facts,
            **{"width": width, "height": height, "bytes": len(file.data)},
            "bpp_file": 8 * len(file.data) / (height * width),
            "bpp_estimated": file.bits / (height * width),
            **{name: scores.get(name, math.nan) for name in self._measures.names},
            **{"encode_ms": encode_ms, "decode_ms": decode_ms},
            **{"version": codec.version(), self._measures.tool: self._measures.version},
        }

    def _identity(self, codec: ImageCodec, setting: str) -> str:
        measures = self._measures
        return rows.identity(codec.identity(setting), measures.protocol, measures.version)

    def _is_old(self, row: dict[str, str]) -> bool:
        """Whether a row is of one of these codecs' settings, but not as it is now."""
        current = self._identities.get((row["codec"], row["setting"]), row["identity"])
        return row["identity"] != current


def _probes(path: pathlib.Path | None) -> Measurements:
    return Measurements(path, _PROBES, key=("identity", "content"), identity=())


def _write_files(folder: pathlib.Path, name: str, data: bytes, decoded: np.ndarray) -> None:
    write_bytes(folder / (name + SUFFIX), data)
    with replacing(folder / (name + ".png")) as temporary:
        Image.fromarray(decoded).save(temporary)
