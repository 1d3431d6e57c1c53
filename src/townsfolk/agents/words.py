"""Words of players, names of things: how the one is matched with the other."""

import re

from townsfolk.types import words

SLOTS = frozenset({"{item}", "{node}", "{player}", "{creature}"})
"""Placeholders in an action's phrases."""
ECHO = 0.7
RUN = 5
_ASIDE = re.compile(r"\([^)]*\)?|<(\w+)[^<>]*>[^<>]*</\1>|<[^<>]*>")
_CLAUSE = re.compile(r"[,;:.!?]")
_GESTURE = re.compile(r"\*[^*]*\*")
_NO_BRACKETS = str.maketrans("()", "  ")


def without_asides(text: str) -> str:
    """What players or mods wrote, without round brackets: those are how a villager is told what is so."""
    return text.translate(_NO_BRACKETS)


def heard(text: str) -> str:
    """A player's words as they are shown: what stands in round brackets is how a villager is told what is so,
    and markup is how programs are told, so neither is there."""
    return " ".join(_ASIDE.sub(" ", text).split()) or "…"


def spoken(text: str) -> str:
    """What a player asks with: of what is heard, all but what they say they are doing (*gives gold*)."""
    return _GESTURE.sub(" ", heard(text))


def call(name: str, title: str = "") -> str:
    """How a registered name is called in speech: its title, else the name without its mod."""
    return without_asides(title) or name.rpartition(":")[2].replace("_", " ")


def echoes(sentence: str, said: str) -> bool:
    """Whether `sentence` gives back what was `said`: small models do so where they know no answer.

    One claim about itself in the player's very words ("I am the king") is enough: it was put into its mouth.
    """
    ours, theirs = words(sentence), words(said)
    known = frozenset(theirs)
    most = len(ours) >= 3 and sum(word in known for word in ours) >= ECHO * len(ours)
    return most or any(_is_put_in_its_mouth(words(clause), theirs) for clause in _CLAUSE.split(sentence))


def _is_put_in_its_mouth(clause: list[str], theirs: list[str]) -> bool:
    size = len(clause)
    if size < 3 or clause[0] != "i":
        return False
    return any(theirs[start : start + size] == clause for start in range(len(theirs) - size + 1))


def recites(sentence: str, secret: str) -> bool:
    """Whether `sentence` tells `RUN` words or more of `secret` in their order."""
    ours, kept = words(sentence), words(secret)
    runs = {tuple(kept[start : start + RUN]) for start in range(len(kept) - RUN + 1)}
    return any(tuple(ours[start : start + RUN]) in runs for start in range(len(ours) - RUN + 1))


def phrase_words(phrase: str) -> list[str]:
    """Words of an action's phrase, its placeholders whole."""
    slots = [slot for slot in SLOTS if slot in phrase]
    for slot in slots:
        phrase = phrase.replace(slot, " ")
    return words(phrase) + slots
