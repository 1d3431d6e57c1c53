"""Text <-> token ids, from the vocabulary inside a GGUF file.

`encode` can never yield a control token: what looks like one in the text is spelled out as plain text.
It refuses to know of prompts and templates: whoever builds a prompt puts control tokens in by id.
"""

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from townsfolk.errors import ModelError

CONTROL = 3  # GGUF's token type of control tokens


class ModelTokenizer:
    """Byte-level BPE of the GPT-2 kind.

    Attributes:
        vocab_size: number of ids.
        eos_id: the token that ends a text.
        special: control tokens, name -> id.
        chat_template: the file's own, as text; nothing here reads it.
    """

    def __init__(self, metadata: dict[str, Any]) -> None:
        """Raises ModelError when the vocabulary is not byte-level BPE or uses an unknown splitter."""
        kind = metadata.get("tokenizer.ggml.model")
        if kind != "gpt2":
            raise ModelError(f"tokenizer {kind!r}: only 'gpt2' (byte-level BPE) can be served")
        tokens: list[str] = metadata["tokenizer.ggml.tokens"]
        types: list[int] = metadata["tokenizer.ggml.token_type"]
        self.vocab_size = len(tokens)
        self.eos_id = int(metadata["tokenizer.ggml.eos_token_id"])
        self.special = {token: index for index, token in enumerate(tokens) if types[index] == CONTROL}
        self.chat_template = str(metadata.get("tokenizer.chat_template", ""))
        self._bytes = _token_bytes(tokens, set(self.special.values()))
        self._bpe = _build(tokens, metadata["tokenizer.ggml.merges"], metadata.get("tokenizer.ggml.pre"))

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, all of it taken as plain text; no token is added."""
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; control tokens are left out, bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self._bytes[index] for index in ids).decode("utf-8", errors="replace")

    def token_bytes(self, index: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        return self._bytes[index]

    def detokenizer(self) -> "Detokenizer":
        """A decoder for one stream of tokens."""
        return Detokenizer(self)

    def to_json(self) -> str:
        """The `tokenizer.json` of this vocabulary, control tokens included, for llguidance's LLTokenizer."""
        whole = Tokenizer.from_str(self._bpe.to_str())
        whole.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in self.special])
        text: str = whole.to_str()
        return text


class Detokenizer:
    """Tokens in, text out, never half a character: an unfinished one waits for its other bytes."""

    def __init__(self, tokenizer: ModelTokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, tokens: Sequence[int]) -> str:
        """The characters that `tokens` complete."""
        return self._decoder.decode(b"".join(map(self._tokenizer.token_bytes, tokens)))

    def end(self) -> str:
        """What is left when no more tokens come: U+FFFD for a character that stayed unfinished."""
        return self._decoder.decode(b"", final=True)


def _build(tokens: list[str], merges: list[str], splitter: str | None) -> Tokenizer:
    vocab = {token: index for index, token in enumerate(tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    bpe.pre_tokenizer = _splitter(splitter)
    bpe.decoder = decoders.ByteLevel()
    return bpe


def _splitter(name: str | None) -> pre_tokenizers.PreTokenizer:
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    if name == "gpt-2":
        return words
    raise ModelError(f"tokenizer splitter {name!r}: only 'smollm' and 'gpt-2' can be served")


def _token_bytes(tokens: list[str], special: set[int]) -> list[bytes]:
    to_byte = {char: byte for byte, char in byte_alphabet().items()}
    return [
        b"" if index in special else bytes(to_byte[char] for char in token if char in to_byte)
        for index, token in enumerate(tokens)
    ]


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable character for each byte: itself where printable, else from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
