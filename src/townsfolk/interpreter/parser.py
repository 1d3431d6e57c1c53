"""Text -> actions and sentences, as the text arrives.

Reads what the grammar lets through, and also free text from models that are not held by it, where the
guide's `talk: "..."` stands for say. What is no well-formed tag is never an action.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from townsfolk.interpreter.grammar import CLOSE, OPEN
from townsfolk.types import Action

_TAG = re.compile(r"\[\[ACTION:(.*?)\]\]", re.DOTALL)
_TALK = re.compile(r'^talk:\s*"?(.*?)"?$')
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SENTENCE = re.compile(r"[^\[]+?[.!?]+(?=\s)|[^\[]+(?=\[\[)")


@dataclass(frozen=True)
class Part:
    """A piece of a reply that is ready to be carried out."""

    speech: str = ""
    actions: tuple[Action, ...] = ()

    def told_by(self, tell: Callable[[str], str]) -> "Part":
        """The same in other words: `tell` gives those for the speech and for each argument."""
        actions = (it.model_copy(update={"args": tuple(map(tell, it.args))}) for it in self.actions)
        return Part(tell(self.speech), tuple(actions))


def parse_action(inside: str) -> Action | None:
    """The action in a tag's inside (`give default:apple 2 sam`), or None where it is malformed."""
    talk = _TALK.match(inside.strip())
    if talk:
        return Action(name="say", args=(talk.group(1)[:500],))
    try:
        words = list(_words(inside))
    except ValueError:
        return None
    if not words or not _NAME.fullmatch(words[0]) or len(words) > 5:
        return None
    return Action(name=words[0], args=tuple(word[:500] for word in words[1:]))


def _words(inside: str) -> shlex.shlex:
    """Words as the game parts them: only double quotes hold several together, and nothing escapes."""
    words = shlex.shlex(inside, posix=True)
    words.whitespace_split, words.quotes, words.escape, words.commenters = True, '"', "", ""
    return words


def split_reply(text: str) -> tuple[str, tuple[Action, ...]]:
    """The speech and the actions of a whole reply."""
    actions = tuple(action for inside in _TAG.findall(text) if (action := parse_action(inside)))
    return " ".join(_TAG.sub(" ", text).split()), actions


class StreamParser:
    """One reply as it is decoded: hands out each action when its tag closes, each sentence when it ends."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[Part]:
        """The parts that `text` completes."""
        self._rest += text
        parts = []
        while part := self._next():
            parts.append(part)
        return parts

    def end(self) -> list[Part]:
        """What is left at the end of the reply; half a tag is dropped, half a sentence is not."""
        speech = self._rest.split(OPEN[:2])[0].strip()
        self._rest = ""
        return [Part(speech=speech)] if speech else []

    def _next(self) -> Part | None:
        self._rest = self._rest.lstrip()
        if self._rest.startswith(OPEN) and CLOSE in self._rest:
            inside, _, self._rest = self._rest[len(OPEN) :].partition(CLOSE)
            action = parse_action(inside)
            return Part(actions=(action,)) if action else self._next()
        sentence = _SENTENCE.match(self._rest)
        return self._take(sentence.end()) if sentence else None

    def _take(self, length: int) -> Part:
        speech, self._rest = self._rest[:length].strip(), self._rest[length:]
        return Part(speech=speech)
