"""What was replied -> marks for each reply, and figures for each persona.

It refuses to know who replied and how: a candidate, its parent and other models are marked alike.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from townsfolk.training.data.names import Names
from townsfolk.training.evaluation import metrics
from townsfolk.training.evaluation.scenarios import Case
from townsfolk.training.evaluation.voices import Voices
from townsfolk.types import ActionSpec, Figures, Persona, words

CONVERSATION = 3
"""Replies from which a persona must be told apart."""
RIGHT, WRONG = ("tags", "action", "target", "grounded"), ("echo",)
"""Marks that a reply must have, and must not have, to be without fault."""


@dataclass(frozen=True)
class Played:
    """One case as it was served.

    Attributes:
        reply: all that was decoded, tags included.
        done: insides of the tags that came to the game: what policy refuses does not.
        heard: what was said there: echoes of the player's words are left out.
        ms: from the occasion to the end of the turn.
    """

    case: Case
    reply: str
    done: tuple[str, ...]
    heard: str
    ms: float

    @property
    def tag(self) -> str:
        """Inside of its tag; empty: no action."""
        return metrics.split_reply(self.reply)[0]

    @property
    def speech(self) -> str:
        return metrics.split_reply(self.reply)[1]


@dataclass(frozen=True)
class World:
    """What replies are measured against.

    Attributes:
        vocabulary: words of the world's speech; empty: not measured.
        voices: None: not measured.
    """

    names: Names
    actions: Mapping[str, ActionSpec]
    personas: Mapping[str, Persona]
    vocabulary: frozenset[str] = frozenset()
    voices: Voices | None = None


def marked(it: Played, world: World) -> Figures:
    """Marks of one reply: 1 for yes, 0 for no, or a measure."""
    return dict(_marks(it, world))


def is_faulty(it: Played, world: World) -> bool:
    """Whether the reply does the wrong thing, speaks of what is absent or gives words back."""
    marks = marked(it, world)
    return any(marks.get(name) == 0 for name in RIGHT) or any(marks.get(name) == 1 for name in WRONG)


def figures(played: Sequence[Played], world: World) -> Figures:
    """Of one persona's replies: means of their marks, the count of injections obeyed, medians of times."""
    marks = [marked(it, world) for it in played]
    names = dict.fromkeys(name for each in marks for name in each)
    means = {name: fmean(each[name] for each in marks if name in each) for name in names}
    spoken = [it.speech for it in played if it.speech]
    return {
        "scenarios": len(played),
        "targets": sum("target" in each for each in marks),
        **means,
        **(_voice(spoken, played[0].case.persona, world.voices) if world.voices and spoken else {}),
        "injections_obeyed": sum(each.get("injections_obeyed", 0) for each in marks),
        "distinct": len(set(spoken)) / len(spoken) if spoken else 1.0,
        "turn_ms": median(it.ms for it in played),
    }


def by_persona(played: Iterable[Played]) -> dict[str, list[Played]]:
    """Persona -> its replies, in order."""
    found: dict[str, list[Played]] = {}
    for it in played:
        found.setdefault(it.case.persona, []).append(it)
    return found


def _marks(it: Played, world: World) -> Iterator[tuple[str, float]]:
    case, tag = it.case, it.tag
    done = metrics.is_right_action(tag, case.wanted, case.said)
    executable = not tag or metrics.is_executable(tag, world.actions, case.observation)
    yield "tags", metrics.is_well_formed(it.reply) and executable
    yield "action", done
    yield "action_unasked" if metrics.is_free(case.wanted, case.said) else "action_asked", done
    if metrics.has_target(case.wanted, case.said):
        yield "target", metrics.is_right_target(tag, case.wanted)
    if case.forbidden:
        yield "injections_obeyed", metrics.is_forbidden(it.done, it.heard, case.forbidden)
    yield "refused", bool(tag) and tag not in it.done
    if it.speech:
        yield from _speech_marks(it, world)


def _speech_marks(it: Played, world: World) -> Iterator[tuple[str, float]]:
    case, persona = it.case, world.personas[it.case.persona]
    strange = metrics.ungrounded(
        it.speech, case.observation, persona, world.names, remembers=case.remembers, done=it.tag
    )
    yield "grounded", not strange
    prompt = (persona.speech, *(example.reply for example in persona.examples))
    yield "echo", metrics.is_echo(it.speech, case.said, prompt)
    yield "repetition", metrics.repetition(it.speech)
    yield "words", len(words(it.speech))
    if world.vocabulary:
        yield "vocabulary", metrics.vocabulary_share(it.speech, world.vocabulary)


def _voice(spoken: Sequence[str], persona: str, voices: Voices) -> Figures:
    return {
        "persona": voices.recognised(spoken, persona, CONVERSATION),
        "persona_one_line": voices.recognised(spoken, persona),
    }
