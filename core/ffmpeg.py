"""The ffmpeg program: which one, which versions, and running it safely."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess

import imageio_ffmpeg

from lossylab.core.errors import FFmpegError

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

    Raises:
      FFmpegError: if it cannot be started or exits with an error; the end of its standard
        error is in the message.
    """
    command = [program or executable(), *arguments]
    try:
        # close_fds=False lets Python spawn instead of fork: the parent may be large.
        done = subprocess.run(
            command, input=stdin, capture_output=True, close_fds=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise FFmpegError(f"{command[0]} gave no answer within {_SECONDS} seconds") from error
    except OSError as error:
        raise FFmpegError(f"cannot start {command[0]}: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise FFmpegError(f"{command[0]} failed with status {done.returncode}: {said}")
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
