"""The low-rank terms of all linear layers, side by side in one bank per layer and projection.

A bank is a pair of matrices, down [in, R] and up [R, out]. Its R lanes belong to one owner each: the base
model's block offsets (always on) or an adapter slot. Ranks may differ from adapter to adapter.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.model import PROJECTIONS, Model
from townsfolk.engine.quantize import BLOCK, Floats, block_offsets

ALWAYS, NOBODY = -2, -3
"""Owners of lanes that are on for every token, and for none."""


class Banks:
    """All banks. An adapter that needs no more lanes than its slot has is written in place.

    Attributes:
        down, up: (projection, layer) -> [in, R], [R, out].
    """

    def __init__(self, model: Model) -> None:
        self._params = model.params
        self._offsets = {  # (projection, layer) -> [out, in/32]
            (projection, index): offsets
            for index, layer in enumerate(model.layers)
            for projection, weight in layer.linear.items()
            if (offsets := block_offsets(weight)) is not None
        }
        self.down: dict[tuple[str, int], Floats] = {}
        self.up: dict[tuple[str, int], Floats] = {}
        self._owners: dict[str, npt.NDArray[np.int32]] = {}  # projection -> [R]
        self._rooms: dict[str, list[int]] = {p: [] for p in PROJECTIONS}  # lanes of each slot
        self._held: list[Adapter | None] = []
        self._allocate([])

    def hold(self, adapters: Sequence[Adapter | None]) -> bool:
        """Make `adapters[i]` adapter slot i; True if the banks are other arrays now than before."""
        adapters = [*adapters, *[None] * (len(self._held) - len(adapters))]
        grows = any(self._rooms[p] != self._needed(p, adapters) for p in PROJECTIONS)
        if grows:
            self._allocate(adapters)
        for slot, adapter in enumerate(adapters):
            if adapter is not self._held[slot]:
                for projection in PROJECTIONS:
                    self._write(projection, slot, adapter)
                self._held[slot] = adapter
        return grows

    def lanes(self, projection: str, slots: npt.NDArray[np.int32]) -> Floats:
        """Adapter slot of each token [N] -> which lanes are on for it, [N, R] of 0 and 1."""
        owners = self._owners[projection]
        on: Floats = ((owners == slots[:, None]) | (owners == ALWAYS)).astype(np.float32)
        return on

    def _needed(self, projection: str, adapters: Sequence[Adapter | None]) -> list[int]:
        """Lanes of each slot: what it has, or more if its adapter needs them."""
        had = self._rooms[projection] + [0] * (len(adapters) - len(self._rooms[projection]))
        return [
            max(room, len(self._targets(projection, adapter)) * adapter.rank) if adapter else room
            for room, adapter in zip(had, adapters, strict=True)
        ]

    def _targets(self, projection: str, adapter: Adapter) -> list[str]:
        adapted = {target for _, target in adapter.factors}
        targets = self._params.targets().items()
        return [name for name, (owner, _, _) in targets if owner == projection and name in adapted]

    def _allocate(self, adapters: Sequence[Adapter | None]) -> None:
        """New banks, with room for `adapters` and only the base model's lanes written."""
        for projection in PROJECTIONS:
            self._rooms[projection] = self._needed(projection, adapters)
            fixed, free = self._fixed(projection), sum(self._rooms[projection])
            self._owners[projection] = np.repeat(np.array([ALWAYS, NOBODY], np.int32), [fixed, free])
            for layer in range(self._params.layers):
                self._allocate_layer(projection, layer, fixed + free)
        self._held = [None] * len(adapters)

    def _fixed(self, projection: str) -> int:
        """Lanes of the base model; at least one, since no dimension may be 0."""
        has_offsets = any(place[0] == projection for place in self._offsets)
        return self._params.shape(projection)[1] // BLOCK if has_offsets else 1

    def _allocate_layer(self, projection: str, layer: int, lanes: int) -> None:
        out, width = self._params.shape(projection)
        down, up = np.zeros((width, lanes), np.float32), np.zeros((lanes, out), np.float32)
        offsets = self._offsets.get((projection, layer))
        if offsets is not None:  # lane b sums block b of the input
            down[np.arange(width), np.arange(width) // BLOCK] = 1
            up[: width // BLOCK] = offsets.T
        self.down[projection, layer], self.up[projection, layer] = down, up

    def _write(self, projection: str, slot: int, adapter: Adapter | None) -> None:
        rooms = self._rooms[projection]
        lane = self._fixed(projection) + sum(rooms[:slot])
        self._owners[projection][lane : lane + rooms[slot]] = NOBODY
        for target in self._targets(projection, adapter) if adapter else ():
            assert adapter is not None
            own = slice(lane, lane + adapter.rank)
            self._owners[projection][own] = slot
            for layer in range(self._params.layers):
                self._write_target(projection, layer, own, adapter, target)
            lane += adapter.rank

    def _write_target(self, projection: str, layer: int, own: slice, adapter: Adapter, target: str) -> None:
        """Write one target's A and B, zeros if the adapter has none in this layer."""
        up = self.up[projection, layer]
        up[own] = 0
        if (layer, target) in adapter.factors:
            a, b = adapter.factors[layer, target]
            _, row, rows = self._params.targets()[target]
            self.down[projection, layer][:, own] = a.T
            up[own, row : row + rows] = adapter.scaling * b.T.astype(np.float32)
