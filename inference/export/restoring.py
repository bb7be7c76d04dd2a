"""What restores a file: the network of several that suits its tables best, or SA-DCT.

Networks are told apart by their cards alone. How much a file has lost is judged by the mean of the
3x3 lowest frequencies in its first quantization table, as SA-DCT's authors do, so that tables of
any encoder can be compared. A network that has learned finer tables than the file's restores less
than it could; one that has learned coarser ones blurs.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lossylab.core import export_folder
from lossylab.core.errors import UsageError
from lossylab.core.options import require
from lossylab.data.jpeg import QUALITIES, Coding, luminance_table, nearest_quality
from lossylab.inference.export import tiling, zoo
from lossylab.inference.export.base import card_of, is_export
from lossylab.inference.export.narrowing import FLOAT32
from lossylab.inference.export.planes import by_planes
from lossylab.inference.export.restorer import MAX_PIXELS, Restorer
from lossylab.models import sadct
from lossylab.models.tnrd import TNRD

SADCT = "sadct"
_CHANNELS = {"y": 1, "rgb": 3}
# Measured with ARCNN's official networks, see docs/decisions/wcdgan.md: a file finer by an octave
# costs as much as one coarser by two, and beyond this distance SA-DCT restores more.
_FINER, _FARTHEST = 2.0, 1.2
_SEVERAL = 0.5  # more distance of networks that take several qualities, or all
# Of how is chosen; 1: no network for several qualities above `FINEST`; 2: by size where gains are
# known, color networks for all samplings, SA-DCT for single planes up to `FINEST`.
REVISION = 3
# Qualities less that a color network is used to where colors are not subsampled: it has learned
# 4:2:0. Measured with dncnn-rgb, useful to 90: of 4:4:4 it gains .16 dB at 85, and loses .13 at 90.
_FULL_COLORS = 10
# Quality up to which SA-DCT gains on the mean; assumed of networks for all qualities, too.
FINEST = 90
# Of single planes (gray, RGB, CMYK), whose gain is luma's alone: 12 crops of Kodak's images, 64x81,
# gain .17 dB in gray at 80, .04 at 85, and lose .11 at 90.
_FINEST_SINGLE = 80


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A restorer that may be chosen; nothing of it is loaded.

    Attributes:
      path: of the export, or its name among `lossylab models`.
      model: the network's name.
      channels: 1 for luma, 3 for RGB.
      quality: that it was trained for, of several the lowest; None for all.
      parameters: trainable weights.
      weights: what names them and the precision they are used in.
      best_quality: of several that it was trained for the highest.
      useful_to: quality up to which it gains, if its card says so.
      gains: qualities and what color files of live1 gained on the mean, dB, if its card says so.
    """

    path: str
    model: str
    channels: int
    quality: int | None
    parameters: int
    weights: str
    best_quality: int | None = None
    useful_to: int | None = None
    gains: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, path: str) -> Candidate:
        """What the card of an export or a named model says; raises ExportError or UsageError."""
        card = card_of(path)
        require(card["kind"] == "restorer", f"{path}: is a {card['kind']}, expected a restorer")
        options = card["options"]
        channels = card.get("channels") or _CHANNELS[options["channels"]]
        known = card["model"], channels, options.get("quality"), card.get("parameters") or 0
        weights, precision = card.get("weights") or card["sha256"], card.get("precision", FLOAT32)
        if precision != FLOAT32:
            weights = f"{weights} {precision}"
        best, useful_to = options.get("best_quality"), card.get("useful_to")
        gains = tuple((int(each), gain) for each, gain in card.get("gains", {}).items())
        return cls(path, *known, weights, best, useful_to, gains)

    @property
    def trained_for(self) -> str:
        """The qualities, in words."""
        words = "all qualities" if self.quality is None else f"{self.quality}"
        if self.best_quality:
            words += f" to {self.best_quality}"
        limited = self.useful_to is not None or self.quality is None
        return f"{words}, used up to {self.finest}" if limited else words

    @property
    def finest(self) -> int:
        """The quality above which it is not chosen, however near it is."""
        if self.useful_to is not None:
            return self.useful_to
        one = self.quality is not None and not self.best_quality
        return QUALITIES[-1] if one else max(FINEST, self.best_quality or FINEST)

    def expected(self, coding: Coding) -> str:
        """What files like this one gained where it was measured, in words; empty if unknown."""
        if not self.gains:
            return ""
        near = nearest_quality(coding.tables[0])
        quality, gain = min(self.gains, key=lambda each: abs(each[0] - near))
        return f"color files of quality {quality} gained {gain:.2f} dB on live1"

    def gains_more(self, other: Candidate, coding: Coding) -> bool:
        """Whether it is known to gain more: at the nearest quality of which both cards say it."""
        mine, theirs = dict(self.gains), dict(other.gains)
        near = nearest_quality(coding.tables[0])
        both = sorted(mine.keys() & theirs.keys(), key=lambda quality: abs(quality - near))
        return bool(both) and mine[both[0]] > theirs[both[0]]

    def distance(self, coding: Coding) -> float:
        """How far a file is from what the network has learned, at least 0, in octaves of steps."""
        if self.quality is None:
            return _SEVERAL
        coarser, finer = (
            math.log2(_coarseness(coding.tables[0]) / _coarseness(luminance_table(quality)))
            for quality in (self.quality, self.best_quality or self.quality)
        )
        beyond = max(coarser, -_FINER * finer, 0.0)
        return beyond + _SEVERAL if self.best_quality else beyond

    def suits(self, coding: Coding, upright: bool = True) -> bool:
        """Whether a file, turned by its EXIF orientation or not, gains enough from the network."""
        if self.model == TNRD.model_id:  # projects onto the coefficients of the table it knows
            return upright and self.knows(coding)
        if self.channels > 1 and not coding.has_luma:  # finer colors than 4:2:0's, other errors
            return False
        finest = self.finest
        if self.channels > 1 and coding.full_colors and finest < QUALITIES[-1]:
            finest -= _FULL_COLORS
        fine = nearest_quality(coding.tables[0]) > finest
        return not fine and self.distance(coding) <= _FARTHEST

    def knows(self, coding: Coding) -> bool:
        """Whether a file's first table is the very one that the network has learned."""
        known = self.quality is not None
        return known and np.array_equal(coding.tables[0], luminance_table(self.quality or 1))


@dataclasses.dataclass(frozen=True)
class Choice:
    """What restores a file.

    Attributes:
      model: a candidate, `SADCT`, or None for nothing: the file is too fine.
      reason: why, in words.
    """

    model: Candidate | str | None
    reason: str


def candidates(models: Iterable[str]) -> list[Candidate]:
    """Those that exports, names and folders with exports or runs of trainings stand for.

    Raises:
      ExportError: if one is no export and has none.
      UsageError: if one is no restorer.
    """
    return [Candidate.of(path) for model in models for path in _exports(model)]


def named() -> list[Candidate]:
    """Those among `lossylab models`."""
    return [Candidate.of(name) for name in zoo.names() if zoo.card(name)["kind"] == "restorer"]


def choose(
    among: Sequence[Candidate],
    coding: Coding,
    channels: int,
    upright: bool = True,
    fallback: Sequence[str | None] = (),
) -> Choice:
    """The candidate that suits a file best: by quality, then by colors, then the largest.

    One whose card says what color files gain stands back for another that gains more.

    Args:
      among: which to choose from.
      coding: of the file.
      channels: of the decoded image: 1 for gray files.
      upright: whether no EXIF orientation turned it.
      fallback: what may stand in where none suits: `SADCT` for all but the finest files,
        None for leaving a file as it is.

    Raises:
      UsageError: if nothing suits; the message says what the networks are for.
    """
    near = f"tables near quality {nearest_quality(coding.tables[0])}"
    if not coding.has_luma:
        near += " of RGB or CMYK"
    elif coding.full_colors:
        near += " of 4:4:4"
    fitting = [each for each in among if each.suits(coding, upright)]
    if fitting:
        best = min(fitting, key=lambda each: _rank(each, coding, channels))
        if channels == _CHANNELS["rgb"]:
            for each in fitting:
                best = each if each.gains_more(best, coding) else best
        known = f"for {best.trained_for}"
        of = f", the best fit of {len(among)} networks" if len(among) > 1 else ""
        return Choice(best, f"{near}, it is {known}{of}")
    none = f"{near}, for which {'none of the networks is' if among else 'there is no network'}"
    if SADCT in fallback and nearest_quality(coding.tables[0]) <= finest_of_sadct(coding):
        return Choice(SADCT, none)
    if None in fallback:
        return Choice(None, f"{none}: left as it is")
    in_order = sorted(among, key=lambda each: each.quality or 0)
    qualities = dict.fromkeys(each.trained_for for each in in_order)
    raise UsageError(
        f"was coded with {near}, the network{'s are' if len(qualities) > 1 else ' is'} for "
        f"{', '.join(qualities)}"
    )


def finest_of_sadct(coding: Coding) -> int:
    """The quality up to which SA-DCT gains on the mean of files that are coded like this one."""
    single = len(coding.tables) == 1 or not coding.has_luma
    return _FINEST_SINGLE if single else FINEST


def nearest(among: Sequence[Candidate], coding: Coding, channels: int) -> Candidate:
    """The candidate whose quality is nearest, however far that is; TNRD only where it can be."""
    able = [each for each in among if each.model != TNRD.model_id or each.knows(coding)]
    return min(able or among, key=lambda each: _rank(each, coding, channels))


def _rank(candidate: Candidate, coding: Coding, channels: int) -> tuple[float, bool, int]:
    return (
        round(candidate.distance(coding), 1),
        candidate.channels != channels,
        -candidate.parameters,
    )


def _coarseness(table: np.ndarray) -> float:
    return float(np.mean(table[:3, :3]))


def _exports(model: str) -> list[str]:
    """The export or model itself, or a folder's: restorers among its exports and runs."""
    folder = pathlib.Path(model)
    if is_export(model) or not folder.is_dir():
        return [model]
    inside = [(each, each / "export") for each in sorted(folder.iterdir())]
    found = [str(path) for pair in inside for path in pair if export_folder.is_saved_model(path)]
    restorers = [path for path in found if card_of(path).get("kind") == Restorer.kind]
    return restorers or found or [model]  # of which loading says what is wrong


def apply(
    model: Candidate | str | None,
    image: np.ndarray,
    coding: Coding,
    load: Callable[[str], Restorer],
) -> np.ndarray:
    """What is chosen, done: uint8 of the image's shape.

    Args:
      model: of a `Choice`.
      image: as a file is decoded, uint8, gray [H, W, 1] or RGB [H, W, 3].
      coding: of the file.
      load: gives the network of a candidate's path.
    """
    if isinstance(model, Candidate):
        return load(model.path).restore(image, coding)
    return image if model is None else by_sadct(image, coding)


def by_sadct(image: np.ndarray, coding: Coding) -> np.ndarray:
    """Restores an image, uint8, gray [H, W, 1] or RGB [H, W, 3], given how its file was coded."""

    def work(planes: np.ndarray, which: slice) -> np.ndarray:
        def restore(tile: np.ndarray) -> np.ndarray:
            return sadct.restore(tile, coding.tables[which], coding.areas[which])

        radius = sadct.RECEPTIVE_FIELD_RADIUS
        return tiling.in_tiles(planes, restore, MAX_PIXELS, radius, sadct.GRID)

    return by_planes(work, image, coding)
