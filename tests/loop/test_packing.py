"""Rows in a pack have the losses and gradients of rows one at a time, by transformers' own attention."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiny_training import config_for, some_rows, write_served
from townsfolk.training.stages.tokens import TokenRow

pytest.importorskip("torch", reason="needs the train extra")
import torch

from townsfolk.training.stages import base
from townsfolk.training.stages.packing import ATTENTION, batches_alike, pack, target_log_probs

Gradients = dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(folder))
        yield folder


def one_at_a_time(model: Any, rows: list[TokenRow]) -> tuple[Any, Gradients]:
    """Log probabilities of all replies' tokens, and the gradients of their weighted sum."""
    model.get_base_model().set_attn_implementation("eager")
    found = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.prompt + row.reply])).logits[0]
        each = torch.log_softmax(logits.float(), -1)[len(row.prompt) - 1 : -1]
        found.append(each.gather(1, torch.tensor(row.reply)[:, None])[:, 0])
    weights = torch.cat([torch.full((len(row.reply),), row.weight) for row in rows])
    return torch.cat(found).detach(), gradients(model, torch.cat(found) @ weights)


def packed(model: Any, rows: list[TokenRow], opening: tuple[int, ...]) -> tuple[Any, Gradients]:
    model.get_base_model().set_attn_implementation(ATTENTION)
    laid_out = pack(rows, opening)
    found = target_log_probs(model, laid_out)
    return found.detach(), gradients(model, found @ laid_out.weights)


def gradients(model: Any, total: Any) -> Gradients:
    model.zero_grad()
    total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("activated", [False, True], ids=["lora", "alora"])
@pytest.mark.parametrize("shared", [True, False], ids=["one opening", "nothing shared"])
def test_a_pack_is_its_rows_one_at_a_time(home: Path, activated: bool, shared: bool) -> None:
    served, tokenizer, template = write_served(home)
    config = config_for(served, home, activated=activated)
    model, _ = base.load_adapted(served, config)
    for name, values in model.named_parameters():
        if "lora_B" in name:  # zero at first: the adapter must matter
            torch.nn.init.normal_(values, std=0.1)
    rows = some_rows(tokenizer, template, 5)
    if not shared:
        rows[2] = TokenRow("other", "guard", "x", rows[2].prompt[3:], 5, rows[2].reply, weight=1.5)
    laid_out = pack(rows, served.opening if activated else ())
    plain = sum(len(row.prompt) + len(row.reply) - 1 for row in rows)
    part = laid_out.context.ids.shape[1] if laid_out.context else 0
    assert (laid_out.ids.shape[1] + part < plain) == shared

    expected, slopes = one_at_a_time(model, rows)
    found, own_slopes = packed(model, rows, served.opening if activated else ())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert own_slopes.keys() == slopes.keys()
    assert slopes
    for name, slope in slopes.items():
        torch.testing.assert_close(own_slopes[name], slope, atol=1e-3, rtol=1e-3, msg=name)


def test_tokens_that_decide_count_as_told() -> None:
    rows = [
        TokenRow("tag", "guard", "x", (1, 2), 0, (7, 8, 9), weight=2.0, acts=2),
        TokenRow("speech", "guard", "y", (1, 2), 0, (5, 6)),
    ]
    assert pack(rows, act_weight=3).weights.tolist() == [6.0, 6.0, 2.0, 3.0, 1.0]


def test_each_epoch_has_every_row_once_in_batches_of_rows_alike() -> None:
    lengths = [10 * (n % 7) for n in range(45)]
    rows = [
        TokenRow(str(n), "guard" if n % 3 else "trader", "x", (1,) * length, 0, ())
        for n, length in enumerate(lengths)
    ]
    batches = batches_alike(rows, 8, (0, 1))
    assert sorted(index for batch in batches for index in batch) == list(range(45))
    assert [len(batch) for batch in batches] == [8] * 5 + [5]
    assert batches == batches_alike(rows, 8, (0, 1)) != batches_alike(rows, 8, (0, 2))
    whole = [batch for batch in batches[:-1] if len({rows[index].persona for index in batch}) == 1]
    assert len(whole) >= 4  # one batch may lie across the border
    spreads = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in whole]
    assert max(spreads) <= 40  # of 60: rows were drawn from all lengths
