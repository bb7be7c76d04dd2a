"""Writes a page on which raters choose the better of two images, pair by pair.

  lossylab eval study_page restored/pulse restored/ours study.html --names=PULSE,Ours

For the user study of "Perceptual Image Restoration with High-Quality Priori and Degradation
Learning", Sec. 4.4.2. FOLDER_A and FOLDER_B have the images of two methods under the same names.
OUT.html holds everything: it is opened from a disk or any web server, asks for nothing else and
sends nothing. Each rater sees the pairs in another order, each method on the left in half of them,
and saves the answers as a CSV file; `lossylab eval study_tally` counts them. With ?seed=N after its
address, or --seed, order and sides are those of that seed.
"""

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

from absl import flags
from PIL import Image

from lossylab.core.app import launch, new_flags, parse, require, require_distinct
from lossylab.core.files import write_text
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image

QUESTION = "Which image is more natural and of better visual quality?"  # Sec. 4.4.2
_SHOWN = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}  # by browsers, as it is

FLAGS = new_flags()
flags.DEFINE_list(
    "names", [], "Of the methods; raters do not see them, answers name them.", flag_values=FLAGS
)
flags.DEFINE_integer(
    "seed",
    None,
    "Of order and sides, the same for all raters; drawn by each browser otherwise.",
    0,
    2**32 - 1,
    flag_values=FLAGS,
)
flags.DEFINE_string("title", "Image quality study", "Of the page.", flag_values=FLAGS)
flags.DEFINE_string("question", QUESTION, "What raters are asked.", flag_values=FLAGS)
flags.DEFINE_string(
    "reference", None, "Folder of images to show between the two.", flag_values=FLAGS
)
flags.DEFINE_integer(
    "max_mb", 300, "Largest page, MiB: browsers have limits.", 1, flag_values=FLAGS
)


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


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(
        len(arguments) == 3,
        f"expected FOLDER_A, FOLDER_B and OUT.html, got {len(arguments)} arguments",
    )
    first, second, out = arguments
    names = [name.strip() for name in FLAGS.names]
    require(
        len(names) == 2 and all(names) and names[0] != names[1],
        f"--names takes two different names, such as PULSE,Ours, got '{','.join(names)}'",
    )
    require(out.endswith((".html", ".htm")), f"OUT must be an .html file, got {out}")
    pairs = match(first, second, FLAGS.reference)
    _check_size(pairs)
    text = page(pairs, names, FLAGS.title, FLAGS.question, FLAGS.seed)
    require(
        len(text) <= FLAGS.max_mb * 2**20,
        f"the page would have {len(text) / 2**20:.0f} MiB, --max_mb={FLAGS.max_mb}: {_CURE}",
    )
    write_text(out, text)
    sys.stdout.write(f"{out}: {len(pairs)} pairs, {len(text) / 2**20:.1f} MiB\n")


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
    sides = [_by_name(folder) for folder in (first, second)]
    for mine, other, place in ((*sides, second), (*sides[::-1], first)):
        alone = [name for name in mine if name not in other]
        require(
            not alone,
            f"{place} lacks {len(alone)} images that the other folder has: "
            f"{', '.join(alone[:3])}{', ...' if len(alone) > 3 else ''}",
        )
    references = _by_name(reference) if reference else {}
    lacking = [name for name in sides[0] if reference and name not in references]
    require(not lacking, f"--reference: {reference} lacks {', '.join(lacking[:3])}")
    pairs = []
    for name in sorted(sides[0]):
        pair = Pair(name, (sides[0][name], sides[1][name]), references.get(name))
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
    text = (importlib.resources.files("lossylab.eval") / "study_page.html").read_text("utf-8")
    data = json.dumps({"id": digest, **study}).replace("<", "\\u003c")
    fill = {"TITLE": html.escape(title), "QUESTION": html.escape(question), "STUDY": data}
    # In one pass: a title may have any text, a place's name too.
    return re.sub("%%(TITLE|QUESTION|STUDY)%%", lambda found: fill[found[1]], text)


def _by_name(folder: str) -> dict[str, str]:
    require(pathlib.Path(folder).is_dir(), f"{folder} is no folder of images")
    files = find_images(folder)
    require_distinct(f"images in {folder}", [pathlib.Path(file).stem for file in files])
    return {pathlib.Path(file).stem: file for file in files}


def _files(pair: Pair) -> list[str]:
    return [*pair.images, *([pair.reference] if pair.reference else [])]


def _check_size(pairs: Sequence[Pair]) -> None:
    """Refuses sets that are too large before they are read into memory."""
    total = sum(pathlib.Path(file).stat().st_size for pair in pairs for file in _files(pair))
    require(
        total * 4 / 3 <= FLAGS.max_mb * 2**20,
        f"{len(pairs)} pairs of {total / 2**20:.0f} MiB make a page of {total * 4 / 3 / 2**20:.0f} "
        f"MiB, --max_mb={FLAGS.max_mb}: {_CURE}",
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
    launch(main)
