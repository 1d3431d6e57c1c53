"""Text <-> token ids, from the vocabulary inside a GGUF file.

`encode` can never yield a control token: what looks like one in the text is spelled out as plain text.
It refuses to know of prompts and templates: whoever builds a prompt puts control tokens in by id.
"""

import codecs
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from tokenizers import AddedToken, Tokenizer

from townsfolk.engine.vocabulary import read_vocabulary
from townsfolk.errors import ModelError

Value = TypeVar("Value", bool, str)


class ModelTokenizer:
    """Byte-level BPE or SentencePiece, whichever the file has.

    Attributes:
        vocab_size: number of ids.
        eos_id: the token that ends a text.
        special: control tokens, name -> id.
        prefix: what text has in front at the start and after a control token, where the model was trained so;
            `encode` does not add it.
        template_tokens: names of tokens that chat templates use, by the variable.
        chat_template: the file's own, as text; nothing here reads it.
    """

    def __init__(self, metadata: dict[str, Any]) -> None:
        """Raises ModelError when the vocabulary is of an unknown kind, or not whole."""
        self._vocabulary = read_vocabulary(metadata)
        self._bpe, self._bytes = self._vocabulary.bpe, self._vocabulary.bytes
        self.special = self._vocabulary.special
        self.vocab_size = len(self._vocabulary.tokens)
        self.eos_id = self._token(metadata, "eos")
        spaced = _value(metadata, "tokenizer.ggml.add_space_prefix", default=True)
        self.prefix = " " if spaced and metadata["tokenizer.ggml.model"] == "llama" else ""
        bos_id = self._token(metadata, "bos") if "tokenizer.ggml.bos_token_id" in metadata else self.eos_id
        named = {"bos_token": bos_id, "eos_token": self.eos_id}
        self.template_tokens = {name: self._vocabulary.tokens[index] for name, index in named.items()}
        self.chat_template = _value(metadata, "tokenizer.chat_template", default="")

    def _token(self, metadata: dict[str, Any], name: str) -> int:
        index = metadata.get(f"tokenizer.ggml.{name}_token_id")
        if type(index) is not int or not 0 <= index < self.vocab_size:
            raise ModelError(
                f"tokenizer.ggml.{name}_token_id is {index!r:.60}, must be below {self.vocab_size:,}"
            )
        return index

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
        """The `tokenizer.json` of this vocabulary, silent tokens marked, for llguidance's LLTokenizer."""
        whole = json.loads(self._bpe.to_str())
        tokens = self._vocabulary.tokens
        whole["model"]["vocab"] = {token: index for index, token in enumerate(tokens)}
        silent = [
            AddedToken(tokens[n], special=True, normalized=False) for n in sorted(self._vocabulary.silent)
        ]
        tokenizer = Tokenizer.from_str(json.dumps(whole))
        tokenizer.add_special_tokens(silent)
        text: str = tokenizer.to_str()
        return text


def _value(metadata: dict[str, Any], name: str, default: Value) -> Value:
    """What the file says, which must be of the default's type."""
    value, kind = metadata.get(name, default), type(default)
    if not isinstance(value, kind):
        raise ModelError(f"{name} is {value!r:.60}, must be a {kind.__name__}; convert the model again")
    return value


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
