"""The low-rank terms of all linear layers, side by side in one bank per layer and projection.

A bank is a pair of matrices, down [in, R] and up [R, out]. Its R lanes belong to one owner each: the base
model's block offsets (always on) or an adapter slot. Ranks may differ from adapter to adapter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.model import PROJECTIONS, Model
from townsfolk.engine.quantize import BLOCK, Floats, block_offsets

ALWAYS = -2
"""Owner of the lanes that are on for every token."""


@dataclass(frozen=True)
class Banks:
    """All banks for one set of resident adapters."""

    down: dict[tuple[str, int], Floats]  # (projection, layer) -> [in, R]
    up: dict[tuple[str, int], Floats]  # (projection, layer) -> [R, out]
    owners: dict[str, npt.NDArray[np.int32]]  # projection -> [R]

    def lanes(self, projection: str, slots: npt.NDArray[np.int32]) -> Floats:
        """Adapter slot of each token [N] -> which lanes are on for it, [N, R] of 0 and 1."""
        owners = self.owners[projection]
        on: Floats = ((owners == slots[:, None]) | (owners == ALWAYS)).astype(np.float32)
        return on


class BankBuilder:
    """Lays the base model's offsets and the adapters' weights side by side."""

    def __init__(self, model: Model) -> None:
        self._params = model.params
        self._offsets = {  # (projection, layer) -> [out, in/32]
            (projection, index): offsets
            for index, layer in enumerate(model.layers)
            for projection, weight in layer.linear.items()
            if (offsets := block_offsets(weight)) is not None
        }

    def build(self, adapters: Sequence[Adapter | None]) -> Banks:
        """The banks with `adapters[i]` as adapter slot i."""
        banks = Banks({}, {}, {})
        for projection in PROJECTIONS:
            owned = list(self._owned_lanes(projection, adapters))
            owners = [owner for owner, _ in owned]
            banks.owners[projection] = np.repeat(owners, [lanes for _, lanes in owned]).astype(np.int32)
            for layer in range(self._params.layers):
                self._fill(banks, projection, layer, adapters)
        return banks

    def _owned_lanes(self, projection: str, adapters: Sequence[Adapter | None]) -> Iterator[tuple[int, int]]:
        """(owner, how many lanes it has); at least one lane in all, since no dimension may be 0."""
        has_offsets = any(place[0] == projection for place in self._offsets)
        yield ALWAYS, self._params.shape(projection)[1] // BLOCK if has_offsets else 1
        for slot, adapter in enumerate(adapters):
            if adapter:
                yield slot, len(self._targets(projection, adapter)) * adapter.rank

    def _targets(self, projection: str, adapter: Adapter) -> list[str]:
        adapted = {target for _, target in adapter.factors}
        targets = self._params.targets().items()
        return [name for name, (owner, _, _) in targets if owner == projection and name in adapted]

    def _fill(self, banks: Banks, projection: str, layer: int, adapters: Sequence[Adapter | None]) -> None:
        out, width = self._params.shape(projection)
        owners = banks.owners[projection]
        down, up = np.zeros((width, len(owners)), np.float32), np.zeros((len(owners), out), np.float32)
        offsets = self._offsets.get((projection, layer))
        if offsets is not None:  # lane b sums block b of the input
            down[np.arange(width), np.arange(width) // BLOCK] = 1
            up[: width // BLOCK] = offsets.T
        for slot, adapter in enumerate(adapters):
            lane = int(np.argmax(owners == slot))
            for target in self._targets(projection, adapter) if adapter else ():
                assert adapter is not None
                self._place(down, up, lane, adapter, layer, target)
                lane += adapter.rank
        banks.down[projection, layer], banks.up[projection, layer] = down, up

    def _place(self, down: Floats, up: Floats, lane: int, adapter: Adapter, layer: int, target: str) -> None:
        """Write one target's A and B, if the adapter has them in this layer, from `lane` on."""
        if (layer, target) in adapter.factors:
            a, b = adapter.factors[layer, target]
            _, row, rows = self._params.targets()[target]
            own = slice(lane, lane + adapter.rank)
            down[:, own] = a.T
            up[own, row : row + rows] = adapter.scaling * b.T.astype(np.float32)
