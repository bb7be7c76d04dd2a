"""Scores from an ffmpeg that stays: a batch of patches in a quarter of a fresh call's time.

libvmaf writes its log when its filter graph ends, and ffmpeg ends a graph when the size of
the pictures changes. So each batch is followed by two small frames of another size: the first
ends the graph and the second pushes the log out. Scores equal those of `vmaf.measure`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import threading
from collections.abc import Sequence

import numpy as np

from lossylab.eval.metrics import ffmpeg, vmaf

_PUSHES = 2
_SMALL, _OTHER_SMALL = (64, 32), (96, 48)  # stacked pairs, two sizes that differ
_SECONDS = 60.0


class VmafStream:
    """A running ffmpeg that scores batches one after the other; safe to share by threads."""

    def __init__(self, metrics: Sequence[str] = ("vmaf",)):
        """Starts ffmpeg and waits for its first answer.

        Args:
          metrics: as for `vmaf.measure`.

        Raises:
          FFmpegError: if ffmpeg is missing or does not answer as expected.
        """
        self._metrics = tuple(metrics)
        self._lock = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [ffmpeg.executable(), *_arguments(self._metrics)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        self._text = b""
        self._unread = 0  # small frames whose log the next batch pushes out
        # ffmpeg builds its first graph twice; what comes of that must not mix with scores.
        try:
            self._score(np.zeros((4, *_OTHER_SMALL, 3), np.uint8))
        except ffmpeg.FFmpegError:
            self.close()
            raise

    def measure(self, reference: np.ndarray, distorted: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch; arguments, result and errors as `vmaf.measure`."""
        vmaf.check_pair(reference, distorted, self._metrics)
        with self._lock:
            frames = self._score(np.concatenate([distorted, reference], axis=1))
        return vmaf.from_log(frames, self._metrics)

    def close(self) -> None:
        """Ends ffmpeg."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()

    def _score(self, stacked: np.ndarray) -> list[dict]:
        small = _SMALL if stacked.shape[1:3] != _SMALL else _OTHER_SMALL
        push = _ppm(np.zeros((*small, 3), np.uint8)) * _PUSHES
        try:
            self._write(b"".join(map(_ppm, stacked)) + push)
            frames = self._read(self._unread + len(stacked))
        except (OSError, ValueError) as error:
            raise ffmpeg.FFmpegError(f"ffmpeg stopped scoring: {self._said() or error}") from error
        self._unread = _PUSHES
        return frames[-len(stacked) :]

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _read(self, count: int) -> list[dict]:
        """The next `count` frames of the logs, of which there may be several."""
        frames: list[dict] = []
        while len(frames) < count:
            ready, _, _ = select.select([self._process.stdout], [], [], _SECONDS)
            chunk = os.read(self._process.stdout.fileno(), 2**16) if ready else b""
            if not chunk:
                raise OSError("it gave no answer" if not ready else "it ended")
            self._text += chunk
            # Each log ends with a brace at the start of a line.
            while (end := self._text.find(b"\n}")) >= 0:
                log, self._text = self._text[: end + 2], self._text[end + 2 :]
                frames += [frame["metrics"] for frame in json.loads(log)["frames"]]
        return frames

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-500:]


def _arguments(metrics: Sequence[str]) -> list[str]:
    source = ["-probesize", "32", "-analyzeduration", "0", "-f", "image2pipe", "-c:v", "ppm"]
    return vmaf.arguments([*source, "-i", "pipe:0"], "iw", "ih/2", metrics)


def _ppm(picture: np.ndarray) -> bytes:
    return b"P6\n%d %d\n255\n" % picture.shape[1::-1] + picture.tobytes()
