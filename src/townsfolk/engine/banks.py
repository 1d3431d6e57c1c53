"""The low-rank terms of all linear layers, side by side in one bank per layer and projection.

A bank is a pair of matrices, down [in, R] and up [R, out]. Its R lanes belong to one owner each: the base
model's block offsets (always on) or an adapter slot. Ranks may differ from adapter to adapter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from townsfolk.engine.adapters import Adapter
from townsfolk.engine.model import PROJECTIONS, Model
from townsfolk.engine.quantize import BLOCK, Floats, Int4Weight, Weight

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


def build_banks(model: Model, adapters: Sequence[Adapter | None]) -> Banks:
    """Lay the base model's offsets and the adapters' weights side by side."""
    banks = Banks({}, {}, {})
    for projection in PROJECTIONS:
        parts = _lanes_by_owner(model, projection, adapters)
        banks.owners[projection] = np.repeat(
            np.array([owner for owner, _, _ in parts], np.int32), [width for _, _, width in parts]
        )
        for layer in range(model.params.layers):
            _fill(banks, model, projection, layer, adapters, parts)
    return banks


Part = tuple[int, int, int]
"""(owner, its first lane, its lanes)"""


def _lanes_by_owner(model: Model, projection: str, adapters: Sequence[Adapter | None]) -> list[Part]:
    """Who owns which lanes of a projection; at least one lane, since no dimension may be 0."""
    parts = [(ALWAYS, 0, max(1, _offset_lanes(model, projection)))]
    for slot, adapter in enumerate(adapters):
        if adapter:
            targets = len(_targets(model, projection, adapter))
            parts.append((slot, parts[-1][1] + parts[-1][2], targets * adapter.rank))
    return parts


def _offset_lanes(model: Model, projection: str) -> int:
    """One per block of 32 inputs if any layer has offsets."""
    has_offsets = any(_offsets(layer.linear[projection]) is not None for layer in model.layers)
    return model.params.shape(projection)[1] // BLOCK if has_offsets else 0


def _offsets(weight: Weight) -> Floats | None:
    return weight.offsets if isinstance(weight, Int4Weight) else None


def _targets(model: Model, projection: str, adapter: Adapter) -> list[str]:
    adapted = {target for _, target in adapter.factors}
    return [t for t, (owner, _, _) in model.params.targets().items() if owner == projection and t in adapted]


def _fill(
    banks: Banks,
    model: Model,
    projection: str,
    layer: int,
    adapters: Sequence[Adapter | None],
    parts: list[Part],
) -> None:
    out, width = model.params.shape(projection)
    lanes = len(banks.owners[projection])
    down, up = np.zeros((width, lanes), np.float32), np.zeros((lanes, out), np.float32)
    offsets = _offsets(model.layers[layer].linear[projection])
    if offsets is not None:  # lane b sums block b of the input
        down[np.arange(width), np.arange(width) // BLOCK] = 1
        up[: width // BLOCK] = offsets.T
    for slot, first, _ in parts[1:]:
        adapter = adapters[slot]
        assert adapter is not None
        for n, target in enumerate(_targets(model, projection, adapter)):
            _, row, rows = model.params.targets()[target]
            if (layer, target) in adapter.factors:
                a, b = adapter.factors[layer, target]
                own = slice(first + n * adapter.rank, first + (n + 1) * adapter.rank)
                down[:, own], up[own, row : row + rows] = a.T, adapter.scaling * b.T.astype(np.float32)
    banks.down[projection, layer], banks.up[projection, layer] = down, up
