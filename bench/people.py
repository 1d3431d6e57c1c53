"""Who lives in the bench's village: personas, adapters, villagers, and what they observe. Measures nothing.

Each villager is the shipped explorer over again, as a persona of its own. The adapters are random and weak:
what they cost does not depend on it, and sentences still come to an end.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.options import Options
from tiny_model import write_random_adapter
from townsfolk.cli.train import reply_opening
from townsfolk.config import load_settings
from townsfolk.engine.model import Model
from townsfolk.personas.library import SHIPPED, load_persona
from townsfolk.policy.rules import SHIPPED as SHIPPED_RULES
from townsfolk.serving.rehearsal import Rehearsal
from townsfolk.types import Event, EventKind, Observation, Persona, Surroundings, Thing
from world import event, observation, said

ADAPTER_SCALE = 0.02
TALKS = (
    "what a fine day it is",
    "tell me about the far hills",
    "what do you like best?",
    "who taught you to draw?",
    "I had bad dreams last night",
    "what did you eat today?",
)
BEASTS = ("Hungry Wolf", "Cave Bear", "Grey Spider", "Wild Boar", "Stone Troll", "Sand Snake")


def service_settings(options: Options, home: Path) -> dict[str, str]:
    """Variables of a service whose personas are in `home`, and whose adapters to be loaded are there too."""
    return {
        "ENGINE__MODEL": str(options.model),
        "ENGINE__THREADS": str(options.threads),
        "PERSONAS_DIRS": json.dumps([str(home / "personas")]),
        "ADAPTERS_DIRS": json.dumps([str(home / "adapters")]),
        "POLICY__RULES": str(_rules_without_limits(home)),  # no villager decides as often as these
        "LIMITS__PLAYER_CALLS_PER_MINUTE": "100000",  # one player speaks to all, as fast as they answer
    }


def _rules_without_limits(home: Path) -> Path:
    rules = yaml.safe_load(SHIPPED_RULES.read_text(encoding="utf-8"))
    file = home / "rules.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({**rules, "limits": {}}), encoding="utf-8")
    return file


@dataclass(frozen=True)
class Villager:
    id: str
    persona: str


def villagers_of(personas: Sequence[str]) -> list[Villager]:
    """One for each of `personas`, which may come twice."""
    return [Villager(f"v{number}", persona) for number, persona in enumerate(personas)]


def persona_names(count: int) -> list[str]:
    return [f"settler{number}" for number in range(count)]


def write_personas(folder: Path, names: Sequence[str], **changes: Any) -> Path:
    """Make a folder of personas, the explorer with `changes` under each of `names`."""
    explorer = load_persona(SHIPPED / "explorer")
    for name in names:
        persona = Persona.model_validate(explorer.model_dump() | {"name": name} | changes)
        (folder / name).mkdir(parents=True)
        (folder / name / "persona.yaml").write_text(yaml.safe_dump(persona.model_dump(mode="json")))
    return folder


def write_adapters(
    folder: Path, names: Sequence[str], model: Model, first_seed: int = 0, activated: bool = False
) -> list[Path]:
    """Write an adapter `folder/name/adapter` for each of `names`, all different.

    Args:
        activated: they apply from the opening of the reply on (aLoRA).
    """
    invocation = list(_reply_opening(model)) if activated else None
    return [
        write_random_adapter(
            folder / name / "adapter",
            model.params,
            model.base_hash,
            seed=seed,
            scale=ADAPTER_SCALE,
            alora_invocation_tokens=invocation,
        )
        for seed, name in enumerate(names, start=first_seed)
    ]


def _reply_opening(model: Model) -> tuple[int, ...]:
    rehearsal = Rehearsal.on(model, load_settings())
    return reply_opening(rehearsal.template, frozenset(rehearsal.tokenizer.special.values()))


def meeting(villager: Villager) -> Observation:
    """The first thing it observes, whole; it is to decide."""
    return _seen(villager, event(EventKind.TICK))


def tick(villager: Villager) -> Observation:
    """Nothing has changed; it is to decide."""
    return _seen(villager, event(EventKind.TICK), me=None, around=None)


def tick_with_news(villager: Villager) -> Observation:
    """Two other beasts are near; it is to decide: two new sentences, then the question again."""
    around = Surroundings(things=(_beast("mobs:one"), _beast("mobs:two")))
    return _seen(villager, event(EventKind.TICK), me=None, around=around)


def talk(villager: Villager) -> Observation:
    """A player makes conversation."""
    return told(villager, random.choice(TALKS))


def told(villager: Villager, text: str) -> Observation:
    """A player says `text`."""
    return _seen(villager, said(text), me=None, around=None)


def digits(count: int) -> str:
    """Text of `count` tokens: the base model reads each digit apart."""
    return "".join(random.choices("0123456789", k=count))


def _beast(name: str) -> Thing:
    return Thing(
        kind="mob",
        name=name,
        title=random.choice(BEASTS),
        distance=random.randint(10, 30),
        direction=random.choice(("north", "east", "south", "west")),
        hostile=True,
    )


def _seen(villager: Villager, what: Event, **changes: Any) -> Observation:
    return observation(
        what,
        villager_id=villager.id,
        persona=villager.persona,
        snapshot_time=what.at,
        **changes,
    )
