"""PPO's trunk and rollouts on a tiny random model: adapters, values, sampling."""

from dataclasses import replace
from typing import Any

import pytest

from townsfolk.training.stages.tokens import TokenRow

pytest.importorskip("torch", reason="needs the train extra")
import peft
import torch
import transformers

from townsfolk.training.stages.packing import ATTENTION
from townsfolk.training.stages.ppo_experience import look_at, padded, reply_mask
from townsfolk.training.stages.ppo_rollout import Sampled, Sampling, laid_out, sample_replies
from townsfolk.training.stages.ppo_trunk import REFERENCE, Trunk

VOCAB, END = 32, 2
OPENING = (1, 5)


def tiny_policy(opening: tuple[int, ...] = (), seed: int = 0) -> Any:
    """A random llama with a random adapter, which opening activates."""
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=VOCAB, **shape, **heads))
    model.requires_grad_(False)
    config = peft.LoraConfig(
        r=4,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(opening) or None,
    )
    adapted = peft.get_peft_model(model, config)
    model.set_attn_implementation(ATTENTION)
    return adapted


def row(*prompt: int, reply: tuple[int, ...] = (7, END)) -> TokenRow:
    return TokenRow("row", "wren", "group", (*prompt, *OPENING), 0, reply)


ROWS = [row(3, 4, 9), row(3, 4, 8, 8, 8), row(3, 6)]


def sampled(model: Any, limit: int = 6, copies: int = 3, opening: tuple[int, ...] = ()) -> list[Sampled]:
    return sample_replies(
        model, ROWS, copies, Sampling(END, limit, opening=opening), torch.Generator().manual_seed(1)
    )


def test_prompts_are_padded_behind_what_they_share() -> None:
    ids, mask = laid_out([(3, 4, 9), (3, 4, 8, 7, 6)], shared=2)
    assert ids.tolist() == [[3, 4, 0, 0, 9], [3, 4, 8, 7, 6]]
    assert mask.tolist() == [[1, 1, 0, 0, 1], [1, 1, 1, 1, 1]]


def test_replies_come_in_the_order_of_their_prompts_and_end_once() -> None:
    rows = sampled(tiny_policy(), limit=40)
    assert [it for it, _ in rows] == [it for it in ROWS for _ in range(3)]
    assert all(END not in reply[:-1] for _, reply in rows)
    assert any(reply[-1] == END for _, reply in rows)
    assert max(len(reply) for _, reply in rows) <= 40


def test_the_same_seed_draws_the_same() -> None:
    model = tiny_policy()
    assert sampled(model) == sampled(model)


@pytest.mark.parametrize("opening", [(), OPENING])
def test_the_likeliest_replies_are_those_that_the_training_pass_finds_likeliest(
    opening: tuple[int, ...],
) -> None:
    """Padding, cache and shared stretch change nothing: almost cold, sampling follows the packed logits."""
    trunk = Trunk(tiny_policy(opening))
    cold = Sampling(END, 8, temperature=1e-4, opening=opening)
    rows = sample_replies(trunk.model, ROWS, 2, cold, torch.Generator().manual_seed(0))
    pack = trunk.pack([replace(it, reply=reply) for it, reply in rows])
    with torch.no_grad():
        logits, _ = trunk.forward(pack)
    assert logits.argmax(-1).tolist() == pack.targets.tolist()


def test_the_policy_begins_at_the_reference_and_can_leave_it() -> None:
    trunk = Trunk(tiny_policy())
    rows = sampled(trunk.model)
    seen = look_at(trunk, rows, batch_size=4)
    assert seen.kl.abs().max() == 0
    assert torch.equal(seen.log_probs, seen.reference)
    trunk.set_policy({name: 2 * tensor for name, tensor in trunk.policy().items()})
    moved = look_at(trunk, rows, batch_size=4)
    assert moved.kl[moved.mask].min() > 0
    assert torch.equal(moved.reference, seen.reference)


def test_only_policy_and_value_head_learn() -> None:
    trunk = Trunk(tiny_policy())
    with trunk.using(REFERENCE):
        pass
    trained = {id(parameter) for parameter in trunk.policy_parameters}
    names = {name for name, it in trunk.model.named_parameters() if id(it) in trained}
    assert names
    assert all("lora" in name and ".default." in name for name in names)


def test_values_do_not_train_the_trunk() -> None:
    trunk = Trunk(tiny_policy())
    _, values = trunk.forward(trunk.pack(ROWS))
    (values - 1).square().sum().backward()
    assert all(parameter.grad is None for parameter in trunk.policy_parameters)
    assert trunk.value_head.linear.weight.grad is not None
    assert trunk.value_head.linear.weight.grad.abs().max() > 0


def test_values_begin_at_0() -> None:
    trunk = Trunk(tiny_policy())
    _, values = trunk.forward(trunk.pack(ROWS))
    assert values.abs().max() == 0


def test_a_second_look_at_the_same_packs_gives_the_same_bits() -> None:
    trunk = Trunk(tiny_policy())
    rows = sampled(trunk.model)
    seen = look_at(trunk, rows, batch_size=4)
    for pack, own in seen.batches:
        logits, _ = trunk.forward(pack)
        now = padded(
            logits.log_softmax(-1).gather(-1, pack.targets.unsqueeze(-1)).squeeze(-1), seen.mask[own]
        )
        assert torch.equal(now, seen.log_probs[own])


def test_flat_numbers_become_rows() -> None:
    mask = reply_mask([(7, 8, END), (END,)])
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    assert padded(torch.tensor([1.0, 2.0, 3.0, 4.0]), mask).tolist() == [[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]
