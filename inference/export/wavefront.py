"""The wavefront of a conditional PixelCNN++: a diagonal of pixels at a time, everything kept.

At step t row y is at column t - slope y: all that this pixel sees has then been drawn. A layer
gathers the neighbors of all active pixels, multiplies them by its kernel and keeps the result.
Layers of the stream of rows above run ahead by as many columns as later layers look to the right.
Of each row only the last columns are kept, as nobody looks further back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossylab.models.layers.pixelcnn_layers import GatedBlock, WeightNormConv
from lossylab.models.pixelcnn import ConditionalPixelCNN

# Rows and columns that kernels see beside a pixel's.
_DOWN = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1))
_DOWN_RIGHT = ((-1, -1), (-1, 0), (0, -1), (0, 0))
_Offsets = Sequence[tuple[int, int]]


class _Active:
    """Active pixels of a layer in one step: rows that follow each other, a column for each.

    Attributes:
      rows: their rows, ascending.
      columns: their columns, descending.
    """

    def __init__(self, front: Wavefront, ahead: int):
        time, slope = front.time + ahead, front.slope
        first = max(0, -(-(time - front.width + 1) // slope))
        last = min(front.height - 1, time // slope)
        self.rows = np.arange(first, last + 1)
        self.columns = time - slope * self.rows


class _Kept:
    """What a layer has computed: a row of zeros, then the last columns of each row."""

    def __init__(self, front: Wavefront, channels: int):
        batch, height, self._width = front.batch, front.height, front.width
        self._ring = front.slope + 4
        self._values = np.zeros((batch, (height + 1) * self._ring, channels))

    def gather(self, at: _Active, offsets: _Offsets) -> np.ndarray:
        """Neighbors of the active pixels side by side, [B, n, offsets * channels]."""
        index = [
            (at.rows + 1 + row) * self._ring + (at.columns + column) % self._ring
            for row, column in offsets
        ]
        found = self._values.take(np.stack(index, 1), axis=1)
        return found.reshape(*found.shape[:2], len(offsets) * found.shape[-1])

    def write(self, at: _Active, values: np.ndarray) -> None:
        """Keeps values [B, n, channels] of the active pixels."""
        starts = (at.rows + 1) * self._ring
        self._values[:, starts + at.columns % self._ring] = values
        if len(starts) and at.columns[0] == self._width - 1:  # beyond the last column are zeros
            self._values[:, starts[0] + self._width % self._ring] = 0.0


class _Block:
    """A gated block at the active pixels."""

    def __init__(self, front: Wavefront, block: GatedBlock, offsets: _Offsets):
        channels = block.first.g.shape[0]
        self._offsets = offsets
        self._first, self._bias = _matrix(block.first)
        if block.aux is not None:
            kernel, bias = _matrix(block.aux)
            self._first, self._bias = np.concatenate([self._first, kernel]), self._bias + bias
        self._second, self._second_bias = _matrix(block.second)
        if block.condition is not None:
            projection = block.condition.numpy().astype(np.float64)
            self._second = np.concatenate([self._second, projection])
        self._between = _Kept(front, 2 * channels)

    def first(self, at: _Active, inputs: _Kept, aux: _Kept | None) -> None:
        """The first convolution; `inputs` and `aux` are activated."""
        x = inputs.gather(at, self._offsets)
        if aux is not None:
            x = np.concatenate([x, aux.gather(at, ((0, 0),))], -1)
        self._between.write(at, _concat_elu(x @ self._first + self._bias))

    def second(self, at: _Active, features: np.ndarray | None) -> np.ndarray:
        """What is added to the stream, [B, n, channels]."""
        x = self._between.gather(at, self._offsets)
        if features is not None:
            x = np.concatenate([x, features[:, at.rows, at.columns]], -1)
        a, b = np.split(x @ self._second + self._second_bias, 2, -1)
        return a / (1.0 + np.exp(np.negative(b)))


class Wavefront:
    """All layers of a network along the diagonal.

    Attributes:
      batch: images at once.
      height: of the images.
      width: of the images.
      slope: columns that a row is ahead of the one below.
      ahead: columns that the stream of rows above begins before the pixels are drawn.
      time: the step.
    """

    def __init__(
        self,
        model: ConditionalPixelCNN,
        features: np.ndarray | None,
        shape: tuple[int, int, int],
    ):
        """Begins before the first pixel.

        Args:
          model: the network; its weights are copied.
          features: of the condition, float64 [B, H, W, n], or None.
          shape: number, height and width of the images.
        """
        self.batch, self.height, self.width = shape
        self.slope, self._features = model.slope, features
        self.ahead = 2 * len(model.u)
        self.time = -self.ahead
        self._begin = [_matrix(conv) for conv in (model.above, model.row, model.column)]
        self._out, self._bounded = _matrix(model.out), model.bounded
        self._u = [_Block(self, block, _DOWN) for block in model.u]
        self._ul = [_Block(self, block, _DOWN_RIGHT) for block in model.ul]
        channels = model.above.g.shape[0]
        # Before each block and after the last: values, and what its activation makes of them.
        self._u_values = [_Kept(self, channels) for _ in self._u]
        self._u_active = [_Kept(self, 2 * channels) for _ in range(len(self._u) + 1)]
        self._ul_active = [_Kept(self, 2 * channels) for _ in self._ul]
        # Two rows above, a column on each side; drawn pixels and the channel of ones.
        self._image = np.zeros((self.batch, self.height + 2, self.width + 2, 4))
        self._image[:, 2:, 1:-1, 3] = 1.0

    def advance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step: rows and columns of the active pixels, and their parameters [B, n, 10 m]."""
        self._advance_u()
        at = _Active(self, 0)
        self.time += 1
        if not len(at.rows):
            return at.rows, at.columns, np.zeros((self.batch, 0, self._out[0].shape[1]))
        ul = self._ul_begin(at)
        for i, block in enumerate(self._ul):
            self._ul_active[i].write(at, _concat_elu(ul))
            block.first(at, self._ul_active[i], self._u_active[i + 1] if self._u else None)
            ul = ul + block.second(at, self._features)
        kernel, bias = self._out
        return at.rows, at.columns, np.asarray(self._bounded(_elu(ul) @ kernel + bias))

    def put(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
        """Takes what was drawn of the active pixels, [B, n, 3] in -1..1."""
        self._image[:, rows + 2, columns + 1, :3] = values

    def _advance_u(self) -> None:
        """The stream of rows above; each layer is a column behind the one before."""
        if not self._u:
            return
        ahead = self.ahead
        at = _Active(self, ahead)
        u = self._above(at)
        self._u_values[0].write(at, u)
        self._u_active[0].write(at, _concat_elu(u))
        for i, block in enumerate(self._u):
            block.first(_Active(self, ahead - 1), self._u_active[i], None)
            ahead -= 2
            at = _Active(self, ahead)
            u = self._u_values[i].gather(at, ((0, 0),)) + block.second(at, self._features)
            self._u_active[i + 1].write(at, _concat_elu(u))
            if i + 1 < len(self._u):
                self._u_values[i + 1].write(at, u)

    def _above(self, at: _Active) -> np.ndarray:
        """The first layer's stream of rows above, a row further down than it was computed."""
        kernel, bias = self._begin[0]
        x = self._look(at, [(-2, -1), (-2, 0), (-2, 1), (-1, -1), (-1, 0), (-1, 1)])
        return (x @ kernel + bias) * (at.rows > 0)[:, None]

    def _ul_begin(self, at: _Active) -> np.ndarray:
        """The other stream: of the row above and of the column to the left; merged ones: all."""
        (_, (row, row_bias), (column, column_bias)) = self._begin
        above = self._look(at, [(-1, -1), (-1, 0), (-1, 1)]) @ row + row_bias
        left = self._look(at, [(-1, -1), (0, -1)]) @ column + column_bias
        ul = above * (at.rows > 0)[:, None] + left * (at.columns > 0)[:, None]
        return ul if self._u else ul + self._above(at)

    def _look(self, at: _Active, offsets: _Offsets) -> np.ndarray:
        found = [self._image[:, at.rows + 2 + y, at.columns + 1 + x] for y, x in offsets]
        return np.concatenate(found, -1)


def _matrix(conv: WeightNormConv) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [offsets * inputs, outputs] and bias."""
    kernel = conv.kernel("float64").numpy()
    return kernel.reshape(-1, kernel.shape[-1]), conv.b.numpy().astype(np.float64)


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def _concat_elu(x: np.ndarray) -> np.ndarray:
    return _elu(np.concatenate([x, -x], -1))
