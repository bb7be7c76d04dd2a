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
    for icon, held_out in zip(kept, icons.held_out(kept, options.held_out)):
        part = _PARTS[held_out]
        counts[part] += 1
        with replacing(output / part / f"{icon.name}.png") as temporary:
            Image.fromarray(icon.image).save(temporary)
    about = {
        "packages": [
            {"name": p.name, "version": p.version, "license": p.license} for p in packages
        ],
        "options": options.to_json(),
        "images": dict(counts),
    }
    write_text(output / "about.json", json.dumps(about, indent=2) + "\n")
    log.info("%s: %s", output, ", ".join(f"{n} images in {part}" for part, n in counts.items()))
