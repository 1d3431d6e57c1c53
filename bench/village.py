"""Rows of ten villagers with ten adapters over HTTP: decisions, speech, an adapter swapped meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.bars import GUIDE_MS, Row, row_of, spread
from bench.options import Options
from bench.people import (
    Villager,
    meeting,
    persona_names,
    service_settings,
    talk,
    tick,
    tick_with_news,
    villagers_of,
    write_adapters,
    write_personas,
)
from bench.service import Answers, CallFailed, GameClient, Service, serving
from bench.swap import swap_row
from townsfolk.engine.model import open_model
from townsfolk.types import Observation

CROWD = 10
OTHERS = 32
"""Adapters that are swapped in turn: more than have slots, so that each comes anew."""
UNASKED = {"tick": ["wander", "wait", "goto", "follow", "look_at", "wave"], "punched": ["flee"]}
"""What a tick chooses among, as far as somebody is there."""
Make = Callable[[Villager], Observation]
DECIDING: dict[str, tuple[int, Make]] = {
    "decide_http_1": (1, tick),
    "decide_http_10": (10, tick),
    "decide_http_10_new24": (10, tick_with_news),
}
"""Row -> how many are asked in one step, and what they observe."""
SPEAKING = {"speech_1": 1, "speech_4": 4, "speech_10": 10}
"""Row -> how many talk at once."""
VILLAGE_ROWS = (*DECIDING, *SPEAKING, "swap")
DECISIONS_A_TALK = 5
"""Speech takes that much longer, and of it there is a first sentence for each villager."""


def measure_village(names: Sequence[str], options: Options, home: Path) -> Iterator[Row]:
    """The rows in `names`, in the order given, by one service whose home is `home`."""
    personas = persona_names(CROWD)
    model = open_model(options.model)
    folder, kind = write_personas(home / "personas", personas, unasked=UNASKED), options.activated
    write_adapters(folder, personas, model, activated=kind)
    others = write_adapters(home / "adapters", persona_names(OTHERS), model, CROWD, activated=kind)
    villagers = villagers_of(personas)
    settings = service_settings(options, home) | {"ENGINE__ADAPTER_SLOTS": str(CROWD + 1)}
    with serving(home, settings) as service, service.connect() as game:
        game.ask([meeting(villager) for villager in villagers])
        for name in names:
            if name == "swap":
                yield swap_row(service, villagers, others, options.swap_seconds)
            elif name in SPEAKING:
                rounds = -(-options.decisions // DECISIONS_A_TALK)
                yield _speech_row(name, service, game, villagers[: SPEAKING[name]], rounds)
            else:
                yield _decide_row(name, service, game, villagers, options.decisions)


def _decide_row(
    name: str, service: Service, game: GameClient, villagers: Sequence[Villager], rounds: int
) -> Row:
    """Until the last villager has its decision; and tokens that had to be prefilled for each."""
    count, make = DECIDING[name]
    _asked(game, villagers[:count], make, rounds=2)
    before = service.metric("townsfolk_prompt_tokens_total")
    answers = _asked(game, villagers[:count], make, rounds)
    prefilled = service.metric("townsfolk_prompt_tokens_total") - before
    times = spread([max(answer.first.values()) for answer in answers])
    return row_of(name, **times, guide_ms=GUIDE_MS.get(name), prefilled_tokens=prefilled / rounds / count)


def _speech_row(
    name: str, service: Service, game: GameClient, villagers: Sequence[Villager], rounds: int
) -> Row:
    """Until a villager's first sentence; and how fast each speaks while the others do."""
    _asked(game, villagers, talk, rounds=1)
    before = service.metric("townsfolk_generation_tokens_total")
    answers = _asked(game, villagers, talk, rounds)
    tokens = service.metric("townsfolk_generation_tokens_total") - before
    speaking_s = sum(sum(answer.done.values()) for answer in answers)
    times = spread([seconds for answer in answers for seconds in answer.first.values()])
    return row_of(name, **times, tokens_per_s=tokens / speaking_s)


def _asked(game: GameClient, villagers: Sequence[Villager], make: Make, rounds: int) -> list[Answers]:
    """Raises CallFailed where somebody was not answered: a median over the others would flatter."""
    answers = [game.ask([make(villager) for villager in villagers]) for _ in range(rounds)]
    for answer in answers:
        if missing := {villager.id for villager in villagers} - answer.first.keys():
            raise CallFailed(f"no answer for {', '.join(sorted(missing))}; refused: {answer.refused}")
    return answers
