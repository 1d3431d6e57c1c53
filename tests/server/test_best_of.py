"""Best of n: several replies are drawn, and what is said is the one that the reward model puts first."""

import asyncio
from pathlib import Path

import pytest

from tiny_model import tiny_settings, write_random_adapter
from townsfolk.config import Settings, load_settings
from townsfolk.errors import ConfigError
from townsfolk.serving import Rooms, Village
from townsfolk.serving.decode import Draft
from townsfolk.types import InferRequest, Sampling


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = tiny_settings(tmp_path)
    with_model = tmp_path / "adapters" / "reward"
    rooms = Rooms.open(settings)
    write_random_adapter(with_model, rooms.engine.model, rooms.engine.base_hash, seed=5)
    rooms.close()
    agents = settings.agents.model_copy(update={"best_of": 4, "reward_model": with_model})
    return settings.model_copy(update={"agents": agents})


async def drawn(rooms: Rooms, temperature: float) -> tuple[Draft, list[str]]:
    """A reply, and what its parts said."""
    draft = Draft()
    parts = rooms.generator.parts(
        draft,
        "v",
        rooms.engine.tokenizer.encode("hello there"),
        None,
        (),
        Sampling(temperature=temperature, top_p=1),
        speech=True,
        deadline=asyncio.get_running_loop().time() + 600,
        max_tokens=12,
    )
    return draft, [part.speech async for part in parts]


def test_the_reply_that_scores_highest_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = Rooms.open(settings)
    rewards = rooms.generator.rewards
    assert rewards is not None
    seen: list[list[str]] = []
    best = type(rewards).best

    def noted(self: object, prompt: list[int], replies: list[str]) -> int:
        seen.append(replies)
        return best(self, prompt, replies)  # type: ignore[arg-type]

    monkeypatch.setattr(type(rewards), "best", noted)
    while not seen:  # where all replies that were drawn are the same, there is nothing to pick
        draft, said = asyncio.run(drawn(rooms, temperature=2.0))
    (replies,) = seen
    prompt = rooms.engine.tokenizer.encode("hello there")
    eos = rooms.engine.tokenizer.eos_id
    scores = {text: rewards.score(prompt, [*rooms.engine.tokenizer.encode(text), eos]) for text in replies}
    assert 2 <= len(replies) <= 4
    assert draft.text == max(scores, key=lambda text: scores[text])
    assert said == [part.speech for part in draft.parts]
    rooms.close()


def test_greedy_replies_need_no_choice_and_turns_go_as_ever(settings: Settings) -> None:
    rooms = Rooms.open(settings)
    before = rooms.engine.stats().generated_tokens
    draft, _ = asyncio.run(drawn(rooms, temperature=0))
    openings = len(rooms.library.personas)  # prefilled meanwhile, a token each
    assert rooms.engine.stats().generated_tokens - before <= 12 + openings
    assert draft.timings
    request = InferRequest(persona="explorer", context="hello", max_len=24, max_wait_ms=60_000)
    assert asyncio.run(Village(rooms).infer(request)).turn_id
    rooms.close()


def test_without_a_reward_model_nobody_picks() -> None:
    with pytest.raises(ConfigError, match=r"set agents\.reward_model"):
        load_settings(agents={"best_of": 2})
