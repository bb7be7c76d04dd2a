"""Writes a page on which raters choose the better of two images, pair by pair (Sec. 4.4.2)."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import importlib.resources
import io
import json
import pathlib
import re
import sys
from collections.abc import Sequence

from PIL import Image

from lossylab.core import command
from lossylab.core.files import write_text
from lossylab.core.options import require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.eval.options.study import QUESTION, StudyPageOptions

_SHOWN = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}  # by browsers, as it is


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images to choose from.

    Attributes:
      name: of both files, without suffix.
      images: their files, in the order of the methods.
      reference: file of the reference, or None.
    """

    name: str
    images: tuple[str, str]
    reference: str | None = None


def write(options: StudyPageOptions) -> None:
    """Writes the page and says how large it is.

    Raises:
      UsageError: if the images do not fit each other, or into the page.
    """
    pairs = match(options.folder_a, options.folder_b, options.reference)
    _check_size(pairs, options.max_mb)
    text = page(pairs, options.methods, options.title, options.question, options.seed)
    require(
        len(text) <= options.max_mb * 2**20,
        f"the page would have {len(text) / 2**20:.0f} MiB, `max_mb`={options.max_mb}: {_CURE}",
    )
    write_text(options.output, text)
    sys.stdout.write(f"{options.output}: {len(pairs)} pairs, {len(text) / 2**20:.1f} MiB\n")


_CURE = "take fewer or smaller images, or WebP files"


def match(first: str, second: str, reference: str | None = None) -> list[Pair]:
    """Pairs of images with the same name, suffixes aside, sorted by name.

    Args:
      first: folder of one method's images.
      second: of the other's.
      reference: folder of references, which may have more images; or None.

    Raises:
      CollectionError: if a folder has no images.
      UsageError: if names are not unique or not on both sides, or sizes of a pair differ.
      ImageError: if a file is no image.
    """
    files = [_by_name(folder) for folder in (first, second)]
    for mine, other, folder in ((*files, second), (*files[::-1], first)):
        alone = [name for name in mine if name not in other]
        require(
            not alone,
            f"{folder} lacks {len(alone)} images that the other folder has: "
            f"{', '.join(alone[:3])}{', ...' if len(alone) > 3 else ''}",
        )
    references = _by_name(reference) if reference else {}
    lacking = [name for name in files[0] if reference and name not in references]
    require(not lacking, f"`reference`: {reference} lacks {', '.join(lacking[:3])}")
    pairs = []
    for name in sorted(files[0]):
        pair = Pair(name, (files[0][name], files[1][name]), references.get(name))
        sizes = {file: read_image(file).shape[1::-1] for file in _files(pair)}
        require(
            len(set(sizes.values())) == 1,
            f"images of '{name}' differ in size: "
            + ", ".join(f"{file} has {w}x{h}" for file, (w, h) in sizes.items()),
        )
        pairs.append(pair)
    return pairs


def page(
    pairs: Sequence[Pair],
    names: Sequence[str],
    title: str = "Image quality study",
    question: str = QUESTION,
    seed: int | None = None,
) -> str:
    """The page as text.

    Args:
      pairs: what is chosen from.
      names: of the two methods.
      title: of the page.
      question: what raters are asked.
      seed: of order and sides for all raters, or None.

    Returns:
      HTML with all images inside.
    """
    shown = [
        {
            "name": pair.name,
            "images": [_uri(file) for file in pair.images],
            "reference": _uri(pair.reference) if pair.reference else None,
        }
        for pair in pairs
    ]
    study = {"names": list(names), "seed": seed, "pairs": shown}
    # Answers that a browser keeps belong to this very study.
    digest = hashlib.sha256(json.dumps([study, title, question]).encode()).hexdigest()[:16]
    text = (importlib.resources.files("lossylab.eval.user_study") / "page.html").read_text("utf-8")
    data = json.dumps({"id": digest, **study}).replace("<", "\\u003c")
    fill = {"TITLE": html.escape(title), "QUESTION": html.escape(question), "STUDY": data}
    # In one pass: a title may have any text, a placeholder's name too.
    return re.sub("%%(TITLE|QUESTION|STUDY)%%", lambda found: fill[found[1]], text)


def _by_name(folder: str) -> dict[str, str]:
    require(pathlib.Path(folder).is_dir(), f"{folder} is no folder of images")
    files = find_images(folder)
    require_distinct(f"images in {folder}", [pathlib.Path(file).stem for file in files])
    return {pathlib.Path(file).stem: file for file in files}


def _files(pair: Pair) -> list[str]:
    return [*pair.images, *([pair.reference] if pair.reference else [])]


def _check_size(pairs: Sequence[Pair], max_mb: int) -> None:
    """Refuses sets that are too large before they are read into memory."""
    total = sum(pathlib.Path(file).stat().st_size for pair in pairs for file in _files(pair))
    require(
        total * 4 / 3 <= max_mb * 2**20,
        f"{len(pairs)} pairs of {total / 2**20:.0f} MiB make a page of {total * 4 / 3 / 2**20:.0f} "
        f"MiB, `max_mb`={max_mb}: {_CURE}",
    )


def _uri(path: str) -> str:
    """An image as a data URI: the file as it is if browsers show it, else as PNG."""
    with Image.open(path) as image:
        kind = _SHOWN.get(image.format or "")
        plain = image.mode in ("RGB", "L") and not getattr(image, "is_animated", False)
    if kind and plain:
        data = pathlib.Path(path).read_bytes()
    else:
        kind, file = "image/png", io.BytesIO()
        Image.fromarray(read_image(path)).save(file, "PNG")
        data = file.getvalue()
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


if __name__ == "__main__":
    command.as_program(StudyPageOptions, write, "lossylab eval study_page")
