"""Scores from an ffmpeg that stays: a batch of patches in a quarter of a fresh call's time.

libvmaf writes its log when its filter graph ends, and ffmpeg ends a graph when the size of
the images changes. So each batch is followed by two small frames of another size: the first
ends the graph and the second pushes the log out. Scores equal those of `vmaf.measure`.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import IO, cast

import numpy as np

from lossylab.core import ffmpeg
from lossylab.eval.metrics import vmaf

_PUSHES = 2
_SECONDS = 60.0


class VmafStream:
    """A running ffmpeg that scores batches one after the other; safe to share by threads."""

    def __init__(self, metrics: Sequence[str] = ("vmaf",)):
        """Starts ffmpeg and waits for its first answer.

        Args:
          metrics: as for `vmaf.measure`.

        Raises:
          ValueError: if a metric is unknown.
          FFmpegError: if ffmpeg is missing or does not answer as expected.
        """
        vmaf.check_metrics(metrics)
        self._metrics = tuple(metrics)
        self._lock = threading.Lock()
        self._text = b""
        self._unread = 0  # small frames whose log the next batch pushes out
        self._failure = ""
        self._small = [(max(side, _smallest(metrics)),) * 2 for side in (32, 48)]
        if self._small[0] == self._small[1]:
            self._small[1] = (self._small[0][0] + 16,) * 2
        program = ffmpeg.executable()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._process = subprocess.Popen(
                [program, *_arguments(self._metrics)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us: ffmpeg ends when its input does
            )
        except OSError as error:
            self._errors.close()
            raise ffmpeg.FFmpegError(f"cannot start {program}: {error.strerror}") from error
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        os.set_blocking(self._input.fileno(), False)
        try:
            # ffmpeg builds its first graph twice; what comes of that must not mix with scores.
            self._score(np.zeros((4, 2 * self._small[1][0], self._small[1][1], 3), np.uint8))
        except ffmpeg.FFmpegError:
            self.close()
            raise

    def measure(self, reference: np.ndarray, distorted: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch; arguments, result and errors as `vmaf.measure`."""
        vmaf.check_pair(reference, distorted, self._metrics)
        with self._lock:
            scores = self._score(np.concatenate([distorted, reference], axis=1))
        return vmaf.columns(scores, self._metrics, reference, distorted)

    def close(self) -> None:
        """Ends ffmpeg."""
        self._failure = self._failure or "the stream is closed"
        self._process.kill()
        self._process.wait()
        self._input.close()
        self._output.close()
        self._errors.close()

    def _score(self, stacked: np.ndarray) -> list[dict[str, float]]:
        if self._failure:  # what is still in the pipes would be taken for the next scores
            raise ffmpeg.FFmpegError(f"ffmpeg stopped scoring: {self._failure}")
        height, width = next(
            side for side in self._small if (2 * side[0], side[1]) != stacked.shape[1:3]
        )
        push = _ppm(np.zeros((2 * height, width, 3), np.uint8)) * _PUSHES
        try:
            self._write(b"".join(map(_ppm, stacked)) + push)
            frames = self._read(self._unread + len(stacked))
        except (OSError, ffmpeg.FFmpegError) as error:
            self._failure = self._said() or str(error)
            raise ffmpeg.FFmpegError(f"ffmpeg stopped scoring: {self._failure}") from error
        self._unread = _PUSHES
        return frames[-len(stacked) :]

    def _write(self, data: bytes) -> None:
        view, pipe = memoryview(data), self._input
        while view:
            if not select.select([], [pipe], [], _SECONDS)[1]:
                raise OSError("it takes no images")
            view = view[pipe.write(view) or 0 :]

    def _read(self, count: int) -> list[dict[str, float]]:
        """The scores of the next `count` frames of the logs, of which there may be several."""
        frames: list[dict[str, float]] = []
        while len(frames) < count:
            ready, _, _ = select.select([self._output], [], [], _SECONDS)
            chunk = os.read(self._output.fileno(), 2**16) if ready else b""
            if not chunk:
                raise OSError("it gave no answer" if not ready else "it ended")
            self._text += chunk
            # Each log ends with a brace at the start of a line.
            while (end := self._text.find(b"\n}")) >= 0:
                log, self._text = self._text[: end + 2], self._text[end + 2 :]
                frames += vmaf.read_log(log, self._metrics)
        return frames

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-500:]


def _smallest(metrics: Sequence[str]) -> int:
    return vmaf.MS_SSIM_SMALLEST if "ms_ssim" in metrics else 0


def _arguments(metrics: Sequence[str]) -> list[str]:
    source = ["-probesize", "32", "-analyzeduration", "0", "-f", "image2pipe", "-c:v", "ppm"]
    return vmaf.arguments([*source, "-i", "pipe:0"], "iw", "ih/2", metrics)


def _ppm(image: np.ndarray) -> bytes:
    return b"P6\n%d %d\n255\n" % image.shape[1::-1] + image.tobytes()
