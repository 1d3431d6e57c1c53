"""Messages -> token ids, by the model's own chat template.

The template's text becomes control tokens; what stands in the messages never does. Both are kept apart
until they are tokens, so that nothing that a player writes can open or close a message.
"""

import hashlib
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from townsfolk.errors import ModelError

Frame = tuple[list[int], list[tuple[int, list[int]]]]
"""What a template puts around messages: ids before all, then (message, ids after it) in order."""
FRAMES, CONTENTS = 64, 1_024
"""Frames and messages of which the ids are kept."""
LONG = 1_000
"""Characters of a message that are too many to keep its ids."""


class Tokenizer(Protocol):
    """What is needed of the engine's tokenizer."""

    @property
    def special(self) -> dict[str, int]:
        """Control tokens by name."""

    @property
    def prefix(self) -> str:
        """What text has in front at the start and after a control token."""

    @property
    def template_tokens(self) -> dict[str, str]:
        """Variables of chat templates (`bos_token`) -> names of tokens."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, all of it plain."""


class ChatTemplate:
    """A Jinja chat template, as GGUF files carry it.

    Attributes:
        content_hash: sha256 of the template's text, hexadecimal; adapters are trained for one template.
    """

    def __init__(self, source: str, tokenizer: Tokenizer) -> None:
        """Raises ModelError where the template can't be compiled."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise ModelError(f"the model's chat template can't be compiled: {error}") from error
        self._tokenizer = tokenizer
        self._special = sorted(tokenizer.special, key=len, reverse=True)
        self.content_hash = hashlib.sha256(source.encode()).hexdigest()
        # Prompts differ in their last message alone: the frame and the others have been encoded before.
        self._frame = lru_cache(FRAMES)(self._encode_frame)
        self._known = lru_cache(CONTENTS)(tokenizer.encode)

    def encode(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Ids of (role, content) `messages` with the opening of the assistant's next one.

        A system message must come first: templates put one of their own in its place otherwise.
        """
        before, pieces = self._frame(tuple(role for role, _ in messages))
        ids = [*before]
        for n, after in pieces:
            ids += self._content(messages[n][1])
            ids += after
        return ids

    def _content(self, text: str) -> list[int]:
        return self._known(text) if len(text) < LONG else self._tokenizer.encode(text)

    def _encode_frame(self, roles: tuple[str, ...]) -> Frame:
        marker = secrets.token_hex(8)
        slots = [{"role": role, "content": f"{marker}{n:04}"} for n, role in enumerate(roles)]
        frame = self._render(slots)
        before, *pieces = frame.split(marker)
        if len(pieces) < len(slots):
            raise ModelError("the model's chat template leaves messages out: use an instruction-tuned model")
        return self._encode_own(before, opens=True), [
            (int(piece[:4]), self._encode_own(piece[4:])) for piece in pieces
        ]

    def _render(self, messages: list[dict[str, str]]) -> str:
        """Some models think aloud first unless told not to; villagers have no time for that."""
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=True,
                enable_thinking=False,
                **self._tokenizer.template_tokens,
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ModelError(f"the model's chat template fails: {error}") from error

    def _encode_own(self, text: str, opens: bool = False) -> list[int]:
        """Ids of the template's own text, control tokens recognised.

        Args:
            opens: it stands at the start or after a control token.
        """
        if not text:
            return []
        for name in self._special:
            before, found, after = text.partition(name)
            if found:
                middle = [self._tokenizer.special[name]]
                return self._encode_own(before, opens) + middle + self._encode_own(after, opens=True)
        return self._tokenizer.encode(self._tokenizer.prefix + text if opens else text)
