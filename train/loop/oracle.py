"""True scores of training pairs, computed beside the graph by ffmpeg.

`Oracle` gives the training step two graph operations: `submit` hands a pair to a thread and
returns at once, `collect` waits for its scores. Between the two the codec computes, which
hides the metric's time. `collect` scores the pair itself when nobody submitted it, for
example right after a restart, so scores never depend on what ran before.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lossylab.core.errors import FFmpegError
from lossylab.eval.metrics import vmaf
from lossylab.eval.metrics.vmaf_stream import VmafStream

log = logging.getLogger("lossylab")

Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]

_SCALES = {"vmaf": 1.0, "ssim": 100.0, "vif": 100.0}  # every score on 0..100
METRICS = tuple(_SCALES)
_STARTS = 3  # of an ffmpeg that stays, for one pair


class Oracle:
    """Scores pairs inside a tf.function, in time or ahead of time."""

    def __init__(self, score: Scorer, close: Callable[[], None] = lambda: None) -> None:
        """Wraps `score`, from uint8 pairs [B, H, W, 3] to float32 scores [B].

        Args:
          score: called from several threads.
          close: called once when the oracle is closed.
        """
        self._score, self._close = score, close
        self._threads = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="oracle")
        self._pending: dict[int, concurrent.futures.Future] = {}

    def submit(self, ticket: tf.Tensor, reference: tf.Tensor, distorted: tf.Tensor) -> None:
        """Starts to score a pair.

        Args:
          ticket: int64 scalar, a number for this pair that no other has.
          reference: float32 [B, H, W, 3], pixel values 0..255; rounded to 8 bits for scoring.
          distorted: the same, of what is scored.
        """
        tf.numpy_function(self._start, [ticket, _pixels(reference), _pixels(distorted)], [])

    def collect(self, ticket: tf.Tensor, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """Scores of the pair, waiting for them if need be: float32 [B]."""
        scores = tf.numpy_function(
            self._finish, [ticket, _pixels(reference), _pixels(distorted)], tf.float32
        )
        return tf.ensure_shape(scores, reference.shape[:1])

    def close(self) -> None:
        """Waits for pairs in work and frees what scoring holds."""
        self._threads.shutdown()
        self._close()

    def _start(self, ticket: np.ndarray, reference: np.ndarray, distorted: np.ndarray) -> None:
        pair = np.array(reference), np.array(distorted)  # TensorFlow may reuse the buffers
        self._pending[int(ticket)] = self._threads.submit(self._score, *pair)

    def _finish(
        self, ticket: np.ndarray, reference: np.ndarray, distorted: np.ndarray
    ) -> np.ndarray:
        started = self._pending.pop(int(ticket), None)
        return started.result() if started else self._score(reference, distorted)


def _pixels(image: tf.Tensor) -> tf.Tensor:
    return tf.saturate_cast(tf.round(image), tf.uint8)


def libvmaf_oracle(metric: str) -> Oracle:
    """An oracle that scores by libvmaf, on 0..100.

    Raises:
      ValueError: if the metric is not one of `METRICS`.
      FFmpegError: if ffmpeg is missing or has no libvmaf.
    """
    if metric not in _SCALES:
        raise ValueError(f"no oracle for '{metric}', expected one of {', '.join(METRICS)}")
    probe = np.zeros((1, vmaf.SMALLEST, vmaf.SMALLEST, 3), np.uint8)
    vmaf.measure(probe, probe, (metric,))  # fails here, before training, rather than in a step
    steady = SteadyVmaf(metric)

    def score(reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
        return (_SCALES[metric] * steady.measure(reference, distorted)).astype(np.float32)

    return Oracle(score, steady.close)


class SteadyVmaf:
    """Scores by an ffmpeg that stays; one that was killed or is frozen is started again.

    What it was given then is scored again, so that scores never depend on it.
    """

    def __init__(self, metric: str) -> None:
        """Starts ffmpeg; where it cannot stay, every call starts its own, which is slower."""
        self._metric, self._guard, self._closed = metric, threading.Lock(), False
        self._stream: VmafStream | None = self._started()

    def _started(self) -> VmafStream | None:
        try:
            return VmafStream((self._metric,))
        except FFmpegError as error:
            log.warning("scoring with one ffmpeg a step, which is slower: %s", error)
            return None

    def measure(self, reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
        """Scores float64 [B] of a pair, uint8 [B, H, W, 3]; raises FFmpegError."""
        for _ in range(_STARTS):
            stream = self._stream
            if stream is None:
                break
            try:
                return stream.measure(reference, distorted)[self._metric]
            except FFmpegError as error:
                self._replace(stream, error)
        return vmaf.measure(reference, distorted, (self._metric,))[self._metric]

    def _replace(self, failed: VmafStream, error: FFmpegError) -> None:
        """Starts another ffmpeg unless another thread has; raises the error after `close`."""
        with self._guard:
            if self._closed:
                raise error
            if self._stream is failed:
                log.warning("%s: it is started again", error)
                failed.close()
                self._stream = self._started()

    def close(self) -> None:
        """Ends ffmpeg."""
        with self._guard:
            self._closed = True
            if self._stream is not None:
                self._stream.close()
