"""1,000 decoded actions over varied observations: every tag parses, every target exists.

The model is random, so nothing but the grammar keeps it in the world.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from tiny_model import write_tiny_model
from townsfolk.agents import ChatTemplate, Session, View, offers_for
from townsfolk.config import EngineSettings
from townsfolk.engine import Constraint, Engine, GenerationRequest, SamplingParams
from townsfolk.interpreter import ChoiceCompiler, GrammarCompiler, StreamParser, reply_grammar
from townsfolk.types import Action, ArgKind, Offer, Stack
from world import ACTIONS, ALICE, APPLE, CHEST, WELL, WOLF, me, observation

DECISIONS = 1_000
ROWS = 25
NAMES = ("Alice", "Bob_77", "sam-the-2nd", "x")
SPECS = {spec.name: spec for spec in ACTIONS}


def draw_view(draw: random.Random) -> View:
    people = [ALICE.model_copy(update={"name": name}) for name in draw.sample(NAMES, draw.randint(0, 4))]
    things = (*people, *draw.sample([WOLF, APPLE], draw.randint(0, 2)))
    carried = tuple(
        Stack(name=name, count=draw.randint(1, 99))
        for name in draw.sample(["default:apple", "default:torch", "farming:bread"], draw.randint(0, 3))
    )
    nodes = tuple(draw.sample([CHEST, WELL], draw.randint(0, 2)))
    session = Session("game", "v1", size=1)
    return session.observe(observation(things=things, nodes=nodes, me=me(inventory=carried)))


def exists(action: Action, view: View) -> bool:
    """Each argument is of its kind and names something in the view."""
    near = view.around.things
    known = {
        ArgKind.PLAYER: {it.name for it in near if it.kind == "player"},
        ArgKind.CREATURE: {it.name for it in near if it.kind != "item"},
        ArgKind.MOB: {it.name for it in near if it.kind == "mob"},
        ArgKind.DROPPED: {it.name for it in near if it.kind == "item"},
        ArgKind.CARRIED: {it.name for it in view.me.inventory},
        ArgKind.NODE: {it.name for it in view.around.nodes},
        ArgKind.PLACE: {
            "home",
            *(it.name for it in near if it.kind != "item"),
            *(n.name for n in view.around.nodes),
        },
    }
    spec = SPECS[action.name]
    if len(action.args) != len(spec.args):
        return False
    for arg, value in zip(spec.args, action.args, strict=True):
        if arg.kind is ArgKind.INT:
            good = arg.min <= int(value) <= arg.max
        elif arg.kind is ArgKind.TEXT:
            good = 0 < len(value) <= arg.max_length
        else:
            good = value in (arg.choices if arg.kind is ArgKind.CHOICE else known[arg.kind])
        if not good:
            return False
    return True


def decode_action(engine: Engine, prompt: list[int], constraint: Constraint, n: int) -> Action:
    """The reply's action; what is said after it is not waited for."""
    request = GenerationRequest(
        sequence_id=f"v{n % ROWS}",
        prompt=prompt,
        max_tokens=150,
        sampling=SamplingParams(temperature=1.0, seed=n),
        constraint=constraint,
    )
    parser, detokenizer = StreamParser(), engine.tokenizer.detokenizer()
    for event in engine.stream(request):
        for part in parser.feed(detokenizer.add(event.tokens)):
            assert not part.speech
            return part.actions[0]
    raise AssertionError("no tag was decoded")


def test_every_decoded_action_parses_and_names_a_target_that_exists(tmp_path: Path) -> None:
    draw = random.Random(7)
    settings = EngineSettings(model=write_tiny_model(tmp_path / "tiny.gguf"), max_context=256, threads=1)
    decided: set[str] = set()
    with Engine.open(settings) as engine:
        tokenizer = engine.tokenizer
        grammars = GrammarCompiler(tokenizer)
        choices = ChoiceCompiler(tokenizer.encode, tokenizer.vocab_size)
        prompt = ChatTemplate(tokenizer.chat_template, tokenizer).encode([("system", "Act.")])

        def held_by(n: int, offers: Sequence[Offer]) -> Constraint:
            """Half of them begin a reply in words, half are decisions."""
            if n % 2:
                return grammars.constraint(reply_grammar(offers), sharp=False)
            return choices.constraint(offers)

        for n in range(DECISIONS):
            view = draw_view(draw)
            offers = offers_for(ACTIONS, set(SPECS), view)
            action = decode_action(engine, prompt, held_by(n, offers), n)
            assert exists(action, view), (action, view)
            decided.add(action.name)
    assert decided == set(SPECS)  # each kind of argument was decoded
