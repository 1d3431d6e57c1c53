"""5 TEXT -> ACTIONS: the grammar and the choices that decoding is held to, and the parser of its text."""

from townsfolk.interpreter.choices import ChoiceCompiler, ChoiceConstraint
from townsfolk.interpreter.constraint import GrammarCompiler, GrammarConstraint
from townsfolk.interpreter.grammar import CLOSE, OPEN, defuse, reply_grammar
from townsfolk.interpreter.parser import Part, StreamParser, parse_action, split_reply

__all__ = [
    "CLOSE",
    "OPEN",
    "ChoiceCompiler",
    "ChoiceConstraint",
    "GrammarCompiler",
    "GrammarConstraint",
    "Part",
    "StreamParser",
    "defuse",
    "parse_action",
    "reply_grammar",
    "split_reply",
]
