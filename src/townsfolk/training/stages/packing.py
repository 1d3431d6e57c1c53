"""Rows laid one after another in one sequence: no padding, and what they share is computed once.

    | shared opening | row 1 | row 2 | ...        queries, and keys
    |................|.......|

Each row attends to the opening and to itself, at the positions it would have alone, so the loss and its
gradients are those of the rows one at a time. Attention runs row by row (`attend`), all else over all
tokens at once.

An adapter that is activated by the reply's opening (aLoRA) leaves what comes before as the base model has
it: a pack then has two parts, and the first, the contexts, needs no gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import transformers

from townsfolk.training.stages.tokens import Ids, TokenRow

ATTENTION = "townsfolk_packed"
STEP = 16
"""Tokens by which lengths may differ and still count as one."""

Span = tuple[int, int]
"""From, up to."""


@dataclass(frozen=True)
class Run:
    """Queries of one stretch of tokens, and the stretches of keys, in order, that they attend to.

    The last keys are the queries' own: among those attention is causal.
    """

    queries: Span
    keys: tuple[Span, ...]


@dataclass(frozen=True)
class Pack:
    """Rows of one pass.

    Attributes:
        ids, positions: [1, tokens].
        runs: who attends to whom.
        kept: [targets] places in the sequence whose next token has a loss.
        targets: [targets] these next tokens.
        owner: [targets] which row each target is of.
        weights: [targets] how much each counts.
        tokens: of all rows, each with all of its prompt and reply, as they count one at a time.
        context: the part that the adapter leaves alone, whose keys come before all others; None: it applies
            from the start.
    """

    ids: Any
    positions: Any
    runs: tuple[Run, ...]
    kept: Any
    targets: Any
    owner: Any
    weights: Any
    tokens: int
    context: "Context | None" = None

    def to(self, device: Any) -> "Pack":
        """The same on `device`."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("ids", "positions", "kept", "targets", "owner", "weights")
        }
        return replace(self, **moved, context=self.context and self.context.to(device))


@dataclass(frozen=True)
class Context:
    """The part of a pack before the adapter is activated: ids, positions [1, tokens], and who attends."""

    ids: Any
    positions: Any
    runs: tuple[Run, ...]

    def to(self, device: Any) -> "Context":
        return Context(self.ids.to(device), self.positions.to(device), self.runs)


def pack(rows: Sequence[TokenRow], opening: Ids = (), act_weight: float = 1) -> Pack:
    """Lay out rows; those of one persona must begin with the same `shared` tokens.

    Args:
        opening: ids that activate the adapter, with which each prompt must end; (): it always applies.
        act_weight: how much the tokens count that decide what is done, beside those of speech.
    """
    shared = _shared(rows)
    if opening:
        return _pack_activated(rows, shared, len(opening), act_weight)
    ids, positions = [*rows[0].prompt[:shared]], [*range(shared)]
    runs = [Run((0, shared), ((0, shared),))] if shared else []
    starts = []
    for row in rows:
        starts.append(len(ids) - shared)
        own = (len(ids), len(ids) + len(row.prompt) + len(row.reply) - 1 - shared)
        ids += [*row.prompt[shared:], *row.reply[:-1]]
        positions += range(shared, shared + own[1] - own[0])
        runs.append(Run(own, ((0, shared), own)))
    return Pack(_line(ids), _line(positions), tuple(runs), *_targets(rows, starts, act_weight), _tokens(rows))


def _shared(rows: Sequence[TokenRow]) -> int:
    """Tokens that all rows begin with; at least one of each prompt stays the row's own."""
    first = rows[0]
    most = min(min(row.shared, len(row.prompt) - 1) for row in rows)
    return most if all(row.prompt[:most] == first.prompt[:most] for row in rows) else 0


def _pack_activated(rows: Sequence[TokenRow], shared: int, opens: int, act_weight: float) -> Pack:
    """Contexts as one part; the reply's openings and replies as the other, whose keys follow theirs."""
    shared = min(shared, *(len(row.prompt) - opens for row in rows))
    before, before_at = [*rows[0].prompt[:shared]], [*range(shared)]
    context_runs = [Run((0, shared), ((0, shared),))] if shared else []
    contexts: list[Span] = []
    for row in rows:
        own = (len(before), len(before) + len(row.prompt) - opens - shared)
        before += row.prompt[shared : len(row.prompt) - opens]
        before_at += range(shared, shared + own[1] - own[0])
        contexts.append(own)
        context_runs.append(Run(own, ((0, shared), own)))
    ids: list[int] = []
    positions: list[int] = []
    runs, starts = [], []
    for row, seen in zip(rows, contexts, strict=True):
        start, tail = len(ids), [*row.prompt[len(row.prompt) - opens :], *row.reply[:-1]]
        own = (len(before) + start, len(before) + start + len(tail))
        starts.append(start - (len(row.prompt) - opens))
        positions += range(len(row.prompt) - opens, len(row.prompt) - opens + len(tail))
        ids += tail
        runs.append(Run((start, start + len(tail)), ((0, shared), seen, own)))
    context = Context(_line(before), _line(before_at), tuple(context_runs))
    return Pack(
        _line(ids), _line(positions), tuple(runs), *_targets(rows, starts, act_weight), _tokens(rows), context
    )


def _tokens(rows: Sequence[TokenRow]) -> int:
    return sum(len(row.prompt) + len(row.reply) for row in rows)


def _line(values: Sequence[int]) -> Any:
    return torch.tensor([values])


def _targets(rows: Sequence[TokenRow], starts: Sequence[int], act_weight: float) -> tuple[Any, Any, Any, Any]:
    """(kept, targets, owner, weights); a row's first token would stand at `starts`, were nothing shared."""
    kept: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    weights: list[float] = []
    for index, (row, start) in enumerate(zip(rows, starts, strict=True)):
        before = start + len(row.prompt) - 1
        kept += range(before, before + len(row.reply))
        targets += row.reply
        owner += [index] * len(row.reply)
        weights += [row.weight * act_weight] * row.acts + [row.weight] * (len(row.reply) - row.acts)
    return torch.tensor(kept), torch.tensor(targets), torch.tensor(owner), torch.tensor(weights)


def attend(
    module: Any, query: Any, key: Any, value: Any, mask: Any, *, scaling: float, runs: Sequence[Run], **_: Any
) -> tuple[Any, None]:
    """Attention of a pack, as transformers calls it.

    Args:
        query: [1, heads, queries, head_dim].
        key, value: [1, kv_heads, keys, head_dim].

    Returns:
        [1, queries, heads, head_dim].
    """
    grouped = query.shape[1] != key.shape[1]
    outputs = []
    for run in runs:
        own = query[:, :, slice(*run.queries)]
        keys, values = (_stretches(tensor, run.keys) for tensor in (key, value))
        causal = keys.shape[2] == own.shape[2]
        outputs.append(
            torch.nn.functional.scaled_dot_product_attention(
                own,
                keys,
                values,
                attn_mask=None if causal else _lower_right(own.shape[2], keys.shape[2], own.device),
                is_causal=causal,
                scale=scaling,
                enable_gqa=grouped,
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _stretches(tensor: Any, spans: Sequence[Span]) -> Any:
    parts = [tensor[:, :, slice(*span)] for span in spans if span[0] < span[1]]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _lower_right(queries: int, keys: int, device: Any) -> Any:
    """[queries, keys] True where a query sees a key: the last query sees all."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


transformers.AttentionInterface.register(ATTENTION, attend)


def target_logits(model: Any, pack: Pack) -> Any:
    """Logits at the targets alone, [targets, vocab], in float32; `model` has the attention ATTENTION."""
    past: dict[str, Any] = {}
    if pack.context is not None:
        past = {"past_key_values": _context_keys(model, pack.context), "alora_offsets": [pack.ids.shape[1]]}
    out: Any = model(
        input_ids=pack.ids,
        position_ids=pack.positions,
        logits_to_keep=pack.kept,
        runs=pack.runs,
        use_cache=bool(past),
        **past,
    )
    return out.logits[0].float()


def _context_keys(model: Any, context: Context) -> Any:
    """Keys and values of the contexts, as the base model has them."""
    with torch.no_grad():
        out: Any = model(
            input_ids=context.ids,
            position_ids=context.positions,
            logits_to_keep=torch.tensor([0], device=context.ids.device),
            runs=context.runs,
            use_cache=True,
            alora_offsets=[None],
        )
    return out.past_key_values


def target_log_probs(model: Any, pack: Pack) -> Any:
    """Log probability of each target, [targets]."""
    logits = target_logits(model, pack)
    return -torch.nn.functional.cross_entropy(logits, pack.targets, reduction="none")


def batches_alike(rows: Sequence[TokenRow], batch_size: int, seed: Sequence[int]) -> list[list[int]]:
    """Indexes of rows in batches alike in persona and length, drawn; the one that is not full comes last.

    Rows are drawn before they are ordered, so that each epoch they meet others of about their length.
    """

    def alike(index: int) -> tuple[str, int]:
        return rows[index].persona, (len(rows[index].prompt) + len(rows[index].reply)) // STEP

    random = np.random.default_rng(seed)
    drawn = random.permutation(len(rows)).tolist()
    rest = drawn[: len(drawn) % batch_size]
    ordered = sorted(drawn[len(rest) :], key=alike)
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))] + ([rest] if rest else [])
