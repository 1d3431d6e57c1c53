"""What names or reaches a person leaves the text: names become stand-ins, addresses a mark.

It refuses to know which text matters; a name that is also an everyday word is replaced with it.
"""

import re
from collections.abc import Iterable

from townsfolk.types import MAX_TEXT, Observation
from townsfolk.types.stand_ins import StandIns

MARKS = (
    (re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE), "(a link)"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "(an address)"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "(an address)"),
    (re.compile(r"(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}", re.IGNORECASE), "(an address)"),
    (re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:)+(?::[0-9a-f]{1,4})+(?![\w:])", re.IGNORECASE), "(an address)"),
    (re.compile(r"\b[\w-]+\.(?:com|net|org|gg|io|de|co\.uk)\b(?:/\S*)?", re.IGNORECASE), "(a link)"),
    (re.compile(r"\+?\d(?:[ /.-]?\d){6,}"), "(a number)"),
)
"""Links, e-mail, IPv4, IPv6, bare domains, telephone numbers: what is found -> what stands there instead."""


class Mask:
    """Replaces the names of `players`, each by the same stand-in everywhere in what one mask is used for."""

    def __init__(self, players: Iterable[str], salt: str) -> None:
        names = sorted(set(players), key=len, reverse=True)
        self._stand_ins, self._given = StandIns(salt, unlike=names), dict[str, str]()
        alternatives = "|".join(map(re.escape, names))
        self._pattern = re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])") if names else None

    def names(self, text: str) -> str:
        """`text` without names."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._stand_in(found[0]), text)

    def _stand_in(self, player: str) -> str:
        if player not in self._given:
            self._given = self._stand_ins.given((*self._given, player))
        return self._given[player]

    def text(self, text: str) -> str:
        """`text` without names and addresses. Names go first: "anna19951224" holds no telephone number."""
        text = self.names(text)
        for pattern, mark in MARKS:
            text = pattern.sub(mark, text)
        return text

    def observation(self, seen: Observation) -> Observation:
        """`seen` without names and addresses: in what is near, what is written, what happened."""

        def text(told: str) -> str:
            return self.text(told)[:MAX_TEXT]  # marks may be longer than what they stand for

        near = seen.around
        if near:
            things = tuple(
                it.model_copy(update={"name": self.names(it.name), "title": text(it.title)})
                for it in near.things
            )
            nodes = tuple(
                it.model_copy(update={"text": text(it.text), "title": text(it.title)}) for it in near.nodes
            )
            near = near.model_copy(update={"things": things, "nodes": nodes})
        events = tuple(
            it.model_copy(update={"who": self.names(it.who), "text": text(it.text)}) for it in seen.events
        )
        me = seen.me and seen.me.model_copy(update={"doing": text(seen.me.doing)})
        named = {"villager_id": "played", "name": text(seen.name)}
        return seen.model_copy(update={**named, "me": me, "around": near, "events": events})
