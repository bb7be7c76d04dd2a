"""Files in, files out: what the commands that turn one into the other share."""

from __future__ import annotations

import csv
import dataclasses
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tqdm
from PIL import Image

from lossylab.cli.journal import Journal
from lossylab.cli.options.files import QUALITY, FilesOptions
from lossylab.core import command
from lossylab.core.digest import file_digest
from lossylab.core.errors import ImageError, UsageError, WorkError
from lossylab.core.files import (
    make_folder,
    refuse_existing,
    remove_rests,
    replacing,
    require_new,
)
from lossylab.core.options import repeated, require, specs
from lossylab.core.rows import identity
from lossylab.data.decode import require_file
from lossylab.eval.sharing import shards
from lossylab.inference.export import zoo

log = logging.getLogger("lossylab")

# What outputs depend on beside input and options, such as the weights' hash: of all, or of a file.
Decides = Sequence[object] | Callable[[str], Sequence[object]]
LOSSLESS = (".png", ".ppm", ".bmp", ".tif", ".tiff")
_WITHOUT_PROFILE = (".ppm", ".bmp")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which files are to be made of which.

    Attributes:
      pairs: input and output files.
      options: of the command.
      journal: of the output's folder, if the output is a folder.
    """

    pairs: list[tuple[str, str]]
    options: FilesOptions
    journal: Journal | None = None


def plan(
    options: FilesOptions,
    sources: Sequence[str],
    suffix: str,
    suffixes: Sequence[str] | None = None,
    beside: str = "",
) -> Plan:
    """Pairs of input and output file.

    Args:
      options: the output is a folder if the input is one, a glob or a collection.
      sources: input files.
      suffix: of the files in a folder.
      suffixes: what the name of an output file may end in; None for anything.
      beside: suffix of the output beside the input, where no output is given.

    Returns:
      Those of the options' shard.

    Raises:
      UsageError: if outputs clash, have a wrong suffix, would replace an input, or exist and were
        not made by such a command.
      OutputError: if they cannot be written.
    """
    output, journal = options.output, None
    if not output:
        require(
            options.input == sources[0], "OUTPUT is needed: a folder, as there are several inputs"
        )
        output = str(pathlib.Path(options.input).with_suffix(beside))
    if options.input != sources[0] or os.path.isdir(output) or output.endswith(os.sep):
        folder = make_folder(output)
        targets = [str(folder / (pathlib.Path(source).stem + suffix)) for source in sources]
        journal = Journal(folder)
    else:
        folder = make_folder(pathlib.Path(output).parent)
        targets = [output]
        require(
            suffixes is None or output.lower().endswith(tuple(suffixes)),
            f"the output '{output}' must end in one of {', '.join(suffixes or ())}"
            + (", which lose nothing" if suffixes is LOSSLESS else ""),
        )
    bare = getattr(options, "keep_profile", False) and targets[0].endswith(_WITHOUT_PROFILE)
    require(not bare, f"`keep_profile`: {targets[0]} has no place for a profile, PNG has")
    remove_rests(folder)
    clash = repeated(targets)
    require(not clash, f"several inputs would be written to {', '.join(clash[:3])}")
    mine = set(shards.part(sources, options.shard))
    pairs = [(source, target) for source, target in zip(sources, targets) if source in mine]
    unknown = [each for _, each in pairs if journal is None or not journal.knows(each)]
    require_new(unknown, options.overwrite)
    inputs = {os.path.realpath(source) for source in sources}
    both = [target for target in targets if os.path.realpath(target) in inputs]
    require(not both, f"{both[0] if both else ''} is an input: choose another output")
    return Plan(pairs, options, journal)


def model_of(
    model: str | None,
    quality: int | None,
    by_quality: Callable[[int], str],
    kind: str,
    qualities: Sequence[int],
) -> str:
    """The model that is given or, saying which, the one that comes with lossylab for a quality.

    Args:
      model: as it is given.
      quality: likewise.
      by_quality: gives the name of a model, as `zoo.codec`.
      kind: what it is.
      qualities: all that there are: several may be of one model.

    Raises:
      ExportError: if there is none of that kind.
    """
    if model is not None:
        return model
    name = by_quality(quality or QUALITY)
    alike = [each for each in qualities if by_quality(each) == name]
    span = f"qualities {alike[0]} to {alike[-1]}" if len(alike) > 1 else f"quality {alike[0]}"
    log.info("%s: %s (%s), %s", kind, name, span, zoo.card(name)["summary"])
    return name


def generator_of(path: str | None) -> str:
    """The generator that is given or, saying which, the first that has a name.

    Raises:
      ExportError: if there is none.
    """
    if path is not None:
        return path
    name = zoo.generator()
    log.info("generator: %s, %s", name, zoo.card(name)["summary"])
    return name


def run(
    plan: Plan,
    work: Callable[[str, str], dict],
    columns: Sequence[str],
    decides: Decides,
    failures: tuple[type[Exception], ...] = (),
) -> None:
    """Does the work file by file, with a table of what was written on standard output, as CSV.

    In a folder, what the same command has finished before is left out.

    Args:
      plan: input and output files.
      work: from such a pair to a row of the table.
      columns: of the table.
      decides: what the outputs depend on; of each input what it gives, where it is a function,
        which may raise UsageError for an input that cannot be worked on.
      failures: exceptions, beside the usual ones, that concern one file only.

    Raises:
      UsageError: before work begins, if outputs exist that are of something else.
      WorkError: at the end, if a file failed; the others are done.
    """
    pairs = _unfinished(plan, decides)
    skipped = len(plan.pairs) - len(pairs)
    if skipped:
        log.info("%d of %d files are finished and left out", skipped, len(plan.pairs))
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    failed = 0
    for source, target in tqdm.tqdm(pairs, unit="file", disable=len(pairs) < 2):
        try:
            row = _noted(plan, source, target, decides, work)
        except Exception as error:
            if not _is_of_one_file(source, error, failures):
                raise
            failed += 1
            continue
        with command.bars_aside():
            writer.writerow(row)
            sys.stdout.flush()
    place = os.path.dirname(plan.pairs[0][1]) if plan.journal else plan.pairs[0][1]
    if failed:
        raise WorkError(
            f"{failed} of {len(pairs)} files failed, see above; the same command tries them again"
        )
    log.info("%d file%s written: %s", len(pairs), "s" if len(pairs) > 1 else "", place)


def _unfinished(plan: Plan, decides: Decides) -> list[tuple[str, str]]:
    """What is left to do; raises UsageError if there are files of other inputs or options."""
    if plan.options.overwrite or plan.journal is None:
        return plan.pairs
    left, strange = [], []
    for source, target in tqdm.tqdm(plan.pairs, unit="file", desc="looking", delay=2, leave=False):
        state = "begun"
        if os.path.lexists(target):
            try:
                found = _identity(plan.options, source, decides)
            except (OSError, UsageError):  # working on it will say what is wrong with it
                left.append((source, target))
                continue
            state = plan.journal.state(target, found)
        if state == "begun":
            left.append((source, target))
        elif state == "other":
            strange.append(target)
    refuse_existing(strange, ", of another input, model or options, or changed since")
    return left


def _noted(
    plan: Plan,
    source: str,
    target: str,
    decides: Decides,
    work: Callable[[str, str], dict],
) -> dict:
    """Does the work of one pair, and notes in the folder what it is of."""
    require_file(source)
    if plan.journal is None:
        return work(source, target)
    identity = _identity(plan.options, source, decides)
    plan.journal.begin(target, identity)
    row = work(source, target)
    plan.journal.end(target, identity)
    return row


def _identity(options: FilesOptions, source: str, decides: Decides) -> str:
    """Names what decides an output: the input, the options, and what the command adds."""
    values = options.to_json()
    kept = {
        name: values[name]
        for name, spec in specs(type(options)).items()
        if not spec.may_differ and not spec.positional
    }
    content = file_digest(source) if os.path.isfile(source) else ""
    name, known = os.path.basename(source), decides(source) if callable(decides) else decides
    return identity(type(options).__name__, sorted(kept.items()), name, content, *known)


def _is_of_one_file(source: str, error: Exception, failures: tuple[type[Exception], ...]) -> bool:
    """Whether an error concerns one file alone; says so then."""
    usual = (ImageError, UsageError, WorkError, OSError, UnicodeError)
    if is_out_of_memory(error):
        log.error("%s: not enough memory for an image of this size", source)
    elif isinstance(error, (*usual, *failures)):
        said = str(error).removeprefix(f"{source}: ").removeprefix(f"{source!r}: ")
        log.error("%s: %s", source, said)
    else:
        return False
    return True


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
