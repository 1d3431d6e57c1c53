"""Text <-> token ids, from the vocabulary inside a GGUF file.

`encode` can never yield a control token: what looks like one in the text is spelled out as plain text.
It refuses to know of prompts and templates: whoever builds a prompt puts control tokens in by id.
"""

import codecs
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from townsfolk.engine.vocabulary import read_vocabulary
from townsfolk.errors import ModelError

Value = TypeVar("Value", bool, str)


class ModelTokenizer:
    """Byte-level BPE or SentencePiece, whichever the file has.

    Attributes:
        vocab_size: number of ids.
        eos_id: the token that ends a text.
        token_bytes: what each token stands for, by id; none for a silent one.
        special: control tokens, name -> id.
        silent: ids that stand for no text: special, unknown and unused ones.
        prefix: what text has in front at the start and after a control token, where the model was trained so;
            `encode` does not add it.
        template_tokens: names of tokens that chat templates use, by the variable.
        chat_template: the file's own, as text; nothing here reads it.
    """

    def __init__(self, metadata: dict[str, Any]) -> None:
        """Raises ModelError when the vocabulary is of an unknown kind, or not whole."""
        vocabulary = read_vocabulary(metadata)
        self._bpe, self.token_bytes = vocabulary.bpe, vocabulary.bytes
        self.special, self.silent = vocabulary.special, vocabulary.silent
        self.vocab_size = len(self.token_bytes)
        self.eos_id = self._token(metadata, "eos")
        spaced = _value(metadata, "tokenizer.ggml.add_space_prefix", default=True)
        self.prefix = " " if spaced and metadata["tokenizer.ggml.model"] == "llama" else ""
        bos_id = self._token(metadata, "bos") if "tokenizer.ggml.bos_token_id" in metadata else self.eos_id
        named = {"bos_token": bos_id, "eos_token": self.eos_id}
        self.template_tokens = {name: vocabulary.tokens[index] for name, index in named.items()}
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
        return b"".join(self.token_bytes[index] for index in ids).decode("utf-8", errors="replace")

    def detokenizer(self) -> "Detokenizer":
        """A decoder for one stream of tokens."""
        return Detokenizer(self)


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
        return self._decoder.decode(b"".join(self._tokenizer.token_bytes[token] for token in tokens))

    def end(self) -> str:
        """What is left when no more tokens come: U+FFFD for a character that stayed unfinished."""
        return self._decoder.decode(b"", final=True)
