"""Sizes of a StyleGAN: what rebuilds a generator but for its weights."""

from __future__ import annotations

import dataclasses
import itertools
import math

# No generator is as large; a file that asks for more is damaged.
_MAX_SIDE, _MAX_WIDTH, _MAX_DEPTH = 2**13, 2**14, 64


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What rebuilds a generator but for its weights.

    Attributes:
      version: 1 or 2.
      resolution: height and width of the images, a power of two from 4 on.
      channels: of the feature maps at 4, 8, 16, ... pixels.
      latent: width of z.
      mapping: width of the mapping network's inner layers.
      depth: number of its layers.
      width: width of w.
      learning_rate: factor of the mapping network's weights, which are stored divided by it.
      psi: truncation, unless another is asked for; 1 for none.
      cutoff: layers that are truncated; None: all in version 2, none in version 1, as officially.
      fused_from: version 1: from this side on, up-sampling layers are the official fused ones,
        whose kernel meets the image turned by half a turn; None for nowhere.
      clamp: version 2: what layers give is cut off at this, as StyleGAN2-ADA does; None for no cut.
    """

    version: int
    resolution: int
    channels: tuple[int, ...]
    latent: int = 512
    mapping: int = 512
    depth: int = 8
    width: int = 512
    learning_rate: float = 0.01
    psi: float = 1.0
    cutoff: int | None = None
    fused_from: int | None = None
    clamp: float | None = None

    def __post_init__(self):
        """Refuses what no generator has."""
        object.__setattr__(self, "channels", tuple(self.channels))
        side = self.resolution
        if not isinstance(side, int) or not 4 <= side <= _MAX_SIDE or side & (side - 1):
            raise ValueError(f"resolution must be a power of two in 4..{_MAX_SIDE}, got {side!r}")
        if len(self.channels) != len(self.sides):
            raise ValueError(
                f"channels must be {len(self.sides)} numbers, one for each side {self.sides}, "
                f"got {self.channels}"
            )
        counts = {"latent": self.latent, "mapping": self.mapping, "width": self.width}
        counts |= {f"channels at {side}": n for side, n in zip(self.sides, self.channels)}
        _require_counts(counts, _MAX_WIDTH)
        _require_counts({"depth": self.depth}, _MAX_DEPTH)
        _require_counts({k: getattr(self, k) or 1 for k in ("cutoff", "fused_from")}, _MAX_SIDE)
        clamp = 1.0 if self.clamp is None else self.clamp
        numbers = {"learning_rate": self.learning_rate, "psi": self.psi, "clamp": clamp}
        for name, value in numbers.items():
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"{name} must be a number, got {value!r}")
            if name != "psi" and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")

    @property
    def truncated(self) -> int | None:
        """The first so many layers are truncated; None for all."""
        return 0 if self.version == 1 and self.cutoff is None else self.cutoff

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the feature maps in pixels: 4, 8, ..., resolution."""
        return tuple(4 << i for i in range(self.resolution.bit_length() - 2))


@dataclasses.dataclass(frozen=True)
class Weight:
    """A trainable variable: its shape, and the std and mean it is drawn with."""

    shape: tuple[int, ...]
    std: float = 1.0
    mean: float = 0.0


def mapping_weights(sizes: Sizes) -> dict[str, Weight]:
    """The mapping network's trainable variables by official name."""
    widths = [sizes.latent, *[sizes.mapping] * (sizes.depth - 1), sizes.width]
    weights = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        weights[f"G_mapping/Dense{i}/weight"] = Weight((inputs, outputs), 1 / sizes.learning_rate)
        weights[f"G_mapping/Dense{i}/bias"] = Weight((outputs,), 0.0)
    return weights


def _require_counts(counts: dict[str, int], largest: int) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= largest:
            raise ValueError(f"{name} must be a whole number in 1..{largest}, got {count!r}")
