"""Files in, files out: what the commands that turn one into the other share."""

from __future__ import annotations

import csv
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tqdm
from PIL import Image

from lossylab.cli.options.files import FilesOptions
from lossylab.core.errors import ImageError, UsageError, WorkError
from lossylab.core.files import make_folder, replacing
from lossylab.core.options import repeated, require

log = logging.getLogger("lossylab")

LOSSLESS = (".png", ".ppm", ".bmp", ".tif", ".tiff")
_WITHOUT_PROFILE = (".ppm", ".bmp")


def plan(
    options: FilesOptions,
    sources: Sequence[str],
    suffix: str,
    suffixes: Sequence[str] | None = None,
) -> list[tuple[str, str]]:
    """Pairs of input and output file.

    Args:
      options: the output is a folder if the input is one, a glob or a collection.
      sources: input files.
      suffix: of the files in a folder.
      suffixes: what the name of an output file may end in; None for anything.

    Raises:
      UsageError: if outputs clash, exist, have a wrong suffix, or would replace an input.
      OutputError: if they cannot be written.
    """
    output = options.output
    if options.input != sources[0] or os.path.isdir(output):
        folder = make_folder(output)
        targets = [str(folder / (pathlib.Path(source).stem + suffix)) for source in sources]
    else:
        make_folder(pathlib.Path(output).parent)
        targets = [output]
        require(
            suffixes is None or output.lower().endswith(tuple(suffixes)),
            f"the output '{output}' must end in one of {', '.join(suffixes or ())}"
            + (", which lose nothing" if suffixes is LOSSLESS else ""),
        )
    bare = getattr(options, "keep_profile", False) and targets[0].endswith(_WITHOUT_PROFILE)
    require(not bare, f"`keep_profile`: {targets[0]} has no place for a profile, PNG has")
    clash = repeated(targets)
    require(not clash, f"several inputs would be written to {', '.join(clash[:3])}")
    existing = [target for target in targets if os.path.exists(target)]
    require(
        options.overwrite or not existing,
        f"{len(existing)} outputs exist, {existing[0] if existing else ''} first: `overwrite`",
    )
    inputs = {os.path.realpath(source) for source in sources}
    both = [target for target in existing if os.path.realpath(target) in inputs]
    require(not both, f"{both[0] if both else ''} is an input: choose another output")
    return list(zip(sources, targets))


def run(
    pairs: Sequence[tuple[str, str]],
    work: Callable[[str, str], dict],
    columns: Sequence[str],
    failures: tuple[type[Exception], ...] = (),
) -> None:
    """Does the work file by file, with a table of what was written on standard output, as CSV.

    Args:
      pairs: input and output files.
      work: from such a pair to a row of the table.
      columns: of the table.
      failures: exceptions, beside the usual ones, that concern one file only.

    Raises:
      WorkError: at the end, if a file failed; the others are done.
    """
    usual = (ImageError, UsageError, WorkError, OSError)
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    failed = 0
    for source, target in tqdm.tqdm(pairs, unit="file", disable=len(pairs) < 2):
        try:
            writer.writerow(work(source, target))
        except Exception as error:
            if is_out_of_memory(error):
                log.error("%s: not enough memory for an image of this size", source)
            elif isinstance(error, (*usual, *failures)):
                log.error("%s: %s", source, str(error).removeprefix(f"{source}: "))
            else:
                raise
            failed += 1
    if failed:
        raise WorkError(f"{failed} of {len(pairs)} files failed, see above")


def write_image(target: str, image: np.ndarray, profile: bytes | None = None) -> None:
    """Writes a file beside, then renames it.

    Args:
      target: the file; its suffix says in which format.
      image: uint8, gray [H, W, 1] or RGB [H, W, 3].
      profile: color profile of the pixel values; None for sRGB.

    Raises:
      OutputError: if the file cannot be written.
    """
    shown = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    with replacing(target) as temporary:
        shown.save(temporary, icc_profile=profile)


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python or TensorFlow, which need not be loaded, found too little memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
