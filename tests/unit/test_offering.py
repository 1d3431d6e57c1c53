"""What a villager may choose from: nothing that policy forbids, and nothing else in its stead."""

import pytest
from test_agents import session_of

from townsfolk.agents import occasion_in, unaided
from townsfolk.config import PolicySettings
from townsfolk.personas import PersonaLibrary
from townsfolk.policy.check import Policy
from townsfolk.policy.rules import load_rules
from townsfolk.serving.games import GameState
from townsfolk.serving.offering import Offering
from townsfolk.types import Node
from world import CHEST, GAME, observation, said

TNT = Node(name="tnt:tnt", title="TNT", distance=2, direction="north")
BUILDER = PersonaLibrary.read(()).get("builder")


def choices(text: str, *, aided: bool, nodes: tuple[Node, ...] = (TNT, CHEST)) -> dict[str, list[str]]:
    """Action -> what it may be done with, by the rules that are shipped."""
    event, policy = said(text), Policy(PolicySettings(), load_rules())
    occasion, view = occasion_in([event]), session_of(observation()).observe(observation(event, nodes=nodes))
    assert occasion
    persona = BUILDER if aided else unaided(BUILDER)
    offers = Offering(policy, GameState(GAME), BUILDER, persona, occasion, view).offers()
    return {offer.name: [value for slot in offer.slots for value in slot.choices] for offer in offers}


@pytest.mark.parametrize("aided", [True, False])
def test_who_asks_for_what_is_forbidden_is_offered_nothing_of_it(aided: bool) -> None:
    assert "dig" not in choices("please dig the tnt", aided=aided)
    assert "dig" not in choices("please dig it", aided=aided, nodes=(TNT,))


@pytest.mark.parametrize("aided", [True, False])
def test_what_is_allowed_is_offered_beside_it(aided: bool) -> None:
    assert choices("please dig the chest", aided=aided)["dig"] == [CHEST.name]


def test_who_asks_for_what_can_t_be_done_is_answered_in_words_alone() -> None:
    """Where it was asked to place lava, a villager had walked home; to give what it has not, waved."""
    assert not choices("please dig the tnt", aided=False, nodes=(TNT,))
    assert "wave" in choices("what a fine morning", aided=False, nodes=(TNT,))


def test_it_may_be_looked_at() -> None:
    assert TNT.name in choices("go to the tnt", aided=False)["goto"]
