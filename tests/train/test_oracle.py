"""Scores while a training runs: an ffmpeg that is killed or frozen costs time, no score."""

import os
import signal

import numpy as np
import pytest

from lossylab.core import ffmpeg
from lossylab.core.errors import FFmpegError
from lossylab.eval.metrics import vmaf, vmaf_stream
from lossylab.train.loop import oracle


@pytest.fixture
def steady(monkeypatch):
    monkeypatch.setattr(vmaf_stream, "_SECONDS", 2.0)
    made = oracle.SteadyVmaf("vmaf")
    yield made
    made.close()


@pytest.fixture
def pair(random):
    return [random.integers(0, 256, (2, 32, 32, 3), np.uint8) for _ in range(2)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_ffmpeg_that_is_killed_or_frozen_is_started_again(number, steady, pair, caplog):
    expected = vmaf.measure(*pair)["vmaf"]
    np.testing.assert_array_equal(steady.measure(*pair), expected)
    first = steady._stream._process
    first.send_signal(number)
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # it may still score
    np.testing.assert_array_equal(steady.measure(*pair), expected)
    assert "ffmpeg stopped scoring" in caplog.text
    assert "it is started again" in caplog.text
    assert first.poll() is not None
    assert steady._stream._process is not first
    np.testing.assert_array_equal(steady.measure(*pair), expected)


def test_what_cannot_be_helped_is_an_error(steady, pair, monkeypatch):
    monkeypatch.setenv(ffmpeg.VARIABLE, "/nowhere/ffmpeg")
    steady._stream._process.kill()
    with pytest.raises(FFmpegError, match="is not an executable program"):
        steady.measure(*pair)


def test_closed_it_starts_nothing(pair):
    closed = oracle.SteadyVmaf("vmaf")
    closed.close()
    with pytest.raises(FFmpegError, match="closed"):
        closed.measure(*pair)


def test_a_call_that_is_killed_is_run_again(tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nif mkdir {tmp_path}/once; then kill -9 $$; fi\necho answer\n")
    program.chmod(0o755)
    assert ffmpeg.run([], program=str(program)) == b"answer\n"


def test_a_call_that_is_killed_twice_fails(tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    with pytest.raises(FFmpegError, match="failed with status -9"):
        ffmpeg.run([], program=str(program))
    program.write_text("#!/bin/sh\nexec sleep 9\n")
    monkeypatch.setattr(ffmpeg, "_SECONDS", 0.1)
    with pytest.raises(FFmpegError, match="gave no answer within"):
        ffmpeg.run([], program=str(program))
