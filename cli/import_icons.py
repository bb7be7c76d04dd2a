"""Packages of icons to folders of images, to train on and to test with."""

from __future__ import annotations

import collections
import json
import logging
import pathlib

import tqdm
from PIL import Image

from lossylab.cli.options.importing import ImportIconsOptions
from lossylab.core.files import replacing, require_new, write_text
from lossylab.core.options import require
from lossylab.data import icons

log = logging.getLogger("lossylab")

_PARTS = {False: "train", True: "held_out"}


def import_icons(options: ImportIconsOptions) -> None:
    """Writes train/NAME.png, held_out/NAME.png, and about.json with packages and licenses.

    Raises:
      UsageError: if outputs exist, or a package is none.
      OutputError: if images cannot be written.
    """
    output = pathlib.Path(options.output)
    require_new([output / "about.json"], options.overwrite)
    packages = [icons.read_package(path) for path in options.packages]
    drawn = [
        icon
        for package in packages
        for icon in tqdm.tqdm(
            icons.draw(package, options.size), package.name, len(package.drawings), unit="icon"
        )
    ]
    counts = collections.Counter()
    kept = icons.thinned(drawn, options.per_outline)
    _refuse_others(output, {f"{icon.name}.png" for icon in kept})
    for icon, held_out in zip(kept, icons.held_out(kept, options.held_out)):
        name, part = f"{icon.name}.png", _PARTS[held_out]
        counts[part] += 1
        with replacing(output / part / name) as temporary:
            Image.fromarray(icon.image).save(temporary)
        (output / _PARTS[not held_out] / name).unlink(missing_ok=True)
    about = {
        "packages": [
            {"name": p.name, "version": p.version, "license": p.license} for p in packages
        ],
        "options": options.to_json(),
        "images": dict(counts),
    }
    write_text(output / "about.json", json.dumps(about, indent=2) + "\n")
    log.info("%s: %s", output, ", ".join(f"{n} images in {part}" for part, n in counts.items()))


def _refuse_others(output: pathlib.Path, names: set[str]) -> None:
    """Raises UsageError if a part has images of icons that are not among these."""
    found = [path for part in _PARTS.values() for path in (output / part).glob("*.png")]
    strange = [path for path in found if path.name not in names]
    require(
        not strange,
        f"{len(strange)} other images are there, such as {strange[0] if strange else ''}: remove "
        "them, or choose another output",
    )
