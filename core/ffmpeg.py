"""The ffmpeg program: which one, which versions, and running it safely."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
import subprocess

import imageio_ffmpeg

from lossylab.core.errors import FFmpegError

log = logging.getLogger("lossylab")

VARIABLE = "LOSSYLAB_FFMPEG"
_SECONDS = 600  # no image takes that long: whoever waits longer waits for nothing


def executable() -> str:
    """Path of ffmpeg: $LOSSYLAB_FFMPEG if set, else the one of the imageio-ffmpeg package.

    Raises:
      FFmpegError: if it is not there.
    """
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        return _bundled()
    found = shutil.which(chosen)
    if found is None:
        raise FFmpegError(f"{VARIABLE}={chosen} is not an executable program; unset it or mend it")
    return found


def run(arguments: list[str], stdin: bytes = b"", program: str | None = None) -> bytes:
    """Runs ffmpeg without a shell and returns its standard output.

    An ffmpeg that was killed, or gives no answer, is run once more.

    Raises:
      FFmpegError: if it cannot be started or exits with an error; the end of its standard
        error is in the message.
    """
    command = [program or executable(), *arguments]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = _run(command, stdin, _SECONDS)
        if done.returncode >= 0:
            return _answer(done)
    log.warning("%s was killed or gave no answer: it is run again", command[0])
    try:
        return _answer(_run(command, stdin, _SECONDS))
    except subprocess.TimeoutExpired as error:
        raise FFmpegError(f"{command[0]} gave no answer within {_SECONDS} seconds") from error


def _run(command: list[str], stdin: bytes, seconds: float) -> subprocess.CompletedProcess:
    """The finished process; raises FFmpegError if it cannot be started."""
    try:
        # close_fds=False lets Python spawn instead of fork: the parent may be large.
        return subprocess.run(
            command, input=stdin, capture_output=True, close_fds=False, timeout=seconds
        )
    except OSError as error:
        raise FFmpegError(f"cannot start {command[0]}: {error.strerror}") from error


def _answer(done: subprocess.CompletedProcess) -> bytes:
    """Its standard output; raises FFmpegError if it failed."""
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise FFmpegError(f"{done.args[0]} failed with status {done.returncode}: {said}")
    return done.stdout


@functools.cache
def version(program: str) -> str:
    """Version string of an ffmpeg program."""
    first_line = run(["-version"], program=program).decode(errors="replace").split("\n")[0]
    found = re.match(r"ffmpeg version (\S+)", first_line)
    return found.group(1) if found else first_line


@functools.cache
def _bundled() -> str:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise FFmpegError(
            "no ffmpeg: reinstall the package imageio-ffmpeg, or point the environment variable "
            f"{VARIABLE} to an ffmpeg built with libvmaf"
        ) from error
