"""5 TEXT -> ACTIONS: the grammar that decoding is held to, and the parser of what was decoded."""

from townsfolk.interpreter.constraint import GrammarCompiler, GrammarConstraint
from townsfolk.interpreter.grammar import defuse, reply_grammar
from townsfolk.interpreter.parser import Part, StreamParser, parse_action, split_reply

__all__ = [
    "GrammarCompiler",
    "GrammarConstraint",
    "Part",
    "StreamParser",
    "defuse",
    "parse_action",
    "reply_grammar",
    "split_reply",
]
