"""The vocabulary inside a GGUF file -> the library's BPE model of its kind, and the bytes of each token.

Byte-level BPE ('gpt2') spells bytes as printable characters and cuts text up by the model's own rule before
it merges; SentencePiece ('llama') spells a space as '▁', and bytes that no token holds as '<0x0A>'. It
refuses to know of text: `tokenizer` encodes and decodes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from townsfolk.errors import ModelError

NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6
"""GGUF's token types. The others (unknown, unused) stand for no text."""
SPACE = "▁"
BYTE_NAME = re.compile(r"<0x([0-9A-F]{2})>")
MAX_TOKEN_CHARS = 1_000
"""Of one token: far above all vocabularies. SentencePiece's merges take its square in memory."""

GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = LLAMA3_WORDS.replace("{1,3}", "")
SPLITTERS = {
    "gpt-2": (GPT2_WORDS,),
    "smollm": (r"\p{N}", GPT2_WORDS),
    "llama-bpe": (LLAMA3_WORDS,),
    "qwen2": (QWEN2_WORDS,),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", GPT2_WORDS, r"\p{N}+", r"[0-9][0-9][0-9]"),
}
"""Rules that cut text up, one after the other, by `tokenizer.ggml.pre`; as in llama.cpp's llama-vocab.cpp."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, and how text becomes tokens."""

    tokens: list[str]
    special: dict[str, int]
    """Control tokens and others that are no part of the merges, name -> id."""
    silent: frozenset[int]
    """Ids that stand for no text: special, unknown and unused ones."""
    bytes: list[bytes]
    """What each token stands for; nothing for a silent one."""
    bpe: Tokenizer
    """Text to ids, none of them silent."""


def read_vocabulary(metadata: dict[str, Any]) -> Vocabulary:
    """The vocabulary in a file's metadata.

    Raises:
        ModelError: a kind or a rule of cutting text up that is not known here, or lists that don't fit.
    """
    kinds: dict[Any, Callable[..., Tokenizer]] = {"gpt2": _byte_level, "llama": _sentence_piece}
    kind = metadata.get("tokenizer.ggml.model")
    if not isinstance(kind, str) or kind not in kinds:
        raise ModelError(f"tokenizer {kind!r:.60}; only {', '.join(kinds)} can be served")
    tokens = _strings(metadata, "tokenizer.ggml.tokens")
    types = _numbers(metadata, "tokenizer.ggml.token_type", len(tokens))
    _check_tokens(tokens)
    special = {t: n for n, t in enumerate(tokens) if types[n] in (CONTROL, USER_DEFINED)}
    silent = frozenset(n for n, own in enumerate(types) if own not in (NORMAL, BYTE))
    text = {token: index for index, token in enumerate(tokens) if index not in silent}
    spell = _from_alphabet if kind == "gpt2" else _from_piece
    spelled = [b"" if n in silent else spell(token, types[n]) for n, token in enumerate(tokens)]
    return Vocabulary(tokens, special, silent, spelled, kinds[kind](metadata, text, types))


def _check_tokens(tokens: list[str]) -> None:
    if len(set(tokens)) != len(tokens):
        raise ModelError("tokenizer.ggml.tokens has a token twice; convert the model again")
    longest = max(map(len, tokens), default=0)
    if longest > MAX_TOKEN_CHARS:
        raise ModelError(
            f"tokenizer.ggml.tokens has a token of {longest:,} characters, must be at most "
            f"{MAX_TOKEN_CHARS:,}; convert the model again"
        )


def _byte_level(metadata: dict[str, Any], text: dict[str, int], types: list[int]) -> Tokenizer:
    pre = metadata.get("tokenizer.ggml.pre", "default")
    if not isinstance(pre, str) or pre not in SPLITTERS:
        raise ModelError(f"tokenizer.ggml.pre {pre!r:.60}; only {', '.join(SPLITTERS)} can be served")
    merges = [merge.partition(" ") for merge in _strings(metadata, "tokenizer.ggml.merges")]
    pairs = [
        (left, right) for left, _, right in merges if left in text and right in text and left + right in text
    ]
    bpe = Tokenizer(models.BPE(vocab=text, merges=pairs, ignore_merges=pre == "llama-bpe"))
    if pre == "qwen2":
        bpe.normalizer = normalizers.NFC()
    cuts = [pre_tokenizers.Split(Regex(rule), "isolated") for rule in SPLITTERS[pre]]
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*cuts, bytes_of])
    bpe.decoder = decoders.ByteLevel()
    return bpe


def _sentence_piece(metadata: dict[str, Any], text: dict[str, int], types: list[int]) -> Tokenizer:
    scores = _numbers(metadata, "tokenizer.ggml.scores", len(types))
    names = {token for token, index in text.items() if types[index] == BYTE}
    missing = [name for name in (f"<0x{byte:02X}>" for byte in range(256)) if name not in names]
    if missing:
        raise ModelError(f"the vocabulary has no token {missing[0]} for that byte; convert the model again")
    pieces = {token: scores[index] for token, index in text.items() if types[index] == NORMAL}
    bpe = Tokenizer(models.BPE(vocab=text, merges=list(_merges(pieces, text)), byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", SPACE)
    bpe.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    return bpe


def _merges(pieces: dict[str, float], ids: dict[str, int]) -> Iterator[tuple[str, str]]:
    """SentencePiece joins the two pieces whose whole has the highest score: merges in that order."""
    for whole in sorted(pieces, key=lambda piece: (-pieces[piece], ids[piece])):
        cuts = [(whole[:at], whole[at:]) for at in range(1, len(whole))]
        pairs = [pair for pair in cuts if pair[0] in pieces and pair[1] in pieces]
        yield from sorted(pairs, key=lambda pair: (-len(pair[0]), -len(pair[1])))


def _from_alphabet(token: str, _: int) -> bytes:
    return bytes(TO_BYTE[char] for char in token if char in TO_BYTE)


def _from_piece(token: str, kind: int) -> bytes:
    """The byte that a token of type BYTE names, or its text."""
    if kind != BYTE:
        return token.replace(SPACE, " ").encode()
    name = BYTE_NAME.fullmatch(token)
    if name is None:
        raise ModelError(f"token {token!r:.60} is of type byte, must be named like '<0x0A>'; convert again")
    return bytes.fromhex(name[1])


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable character for each byte: itself where printable, else from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


TO_BYTE = {char: byte for byte, char in byte_alphabet().items()}


def _strings(metadata: dict[str, Any], name: str) -> list[str]:
    values = metadata.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ModelError(f"{name} must be a list of texts; convert the model again")
    return values


def _numbers(metadata: dict[str, Any], name: str, size: int) -> list[Any]:
    values = metadata.get(name)
    if not isinstance(values, np.ndarray) or len(values) != size or not np.isfinite(values).all():
        raise ModelError(f"{name} must have a number for each of {size:,} tokens; convert the model again")
    numbers: list[Any] = values.tolist()
    return numbers
