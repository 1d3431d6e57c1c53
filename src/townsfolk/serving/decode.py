"""Prompt and offers -> parts of a reply as they are decoded. For game turns, `Infer` and chats alike."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from townsfolk.config import AgentSettings
from townsfolk.engine import (
    Constraint,
    Detokenizer,
    Engine,
    Finish,
    GenerationRequest,
    SamplingParams,
    Timings,
)
from townsfolk.errors import ModelError
from townsfolk.interpreter import ChoiceCompiler, GrammarCompiler, Part, StreamParser, reply_grammar
from townsfolk.serving.generate import generate
from townsfolk.types import Offer, Sampling

DECISION_PRIORITY = 1
SPEECH_PRIORITY = 0


@dataclass
class Draft:
    """A reply while it is decoded."""

    text: str = ""
    parts: list[Part] = field(default_factory=list)
    tokens: int = 0
    finish: Finish = "stop"
    timings: Timings | None = None


@dataclass(frozen=True)
class Generator:
    """Decodes replies held by a grammar, and decisions. Shared by game turns, `Infer` and chats."""

    engine: Engine
    grammars: GrammarCompiler
    choices: ChoiceCompiler
    settings: AgentSettings

    async def parts(
        self,
        draft: Draft,
        sequence_id: str,
        prompt: list[int],
        adapter: str | None,
        offers: Sequence[Offer],
        sampling: Sampling,
        *,
        speech: bool,
        optional: bool = False,
        deadline: float,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Part, None]:
        """Parts of the reply as they are complete; `draft` holds all of it when the generator ends.

        Args:
            speech: it speaks; else it decides on one of `offers`.
            optional: where it speaks, it need take none of them.

        Raises:
            Busy, AdapterError, InvalidRequest: as `Engine.submit`; the last also for lack of choices.
            ModelError: the pass failed.
        """
        tokenizer, parser = self.engine.tokenizer, StreamParser()
        detokenizer = Detokenizer(tokenizer)
        request = GenerationRequest(
            sequence_id=sequence_id,
            prompt=prompt,
            max_tokens=max_tokens or self.settings.max_reply_tokens,
            adapter=adapter,
            sampling=SamplingParams(sampling.temperature, sampling.top_p, 0, sampling.repetition_penalty),
            constraint=self._constraint(offers, speech, optional),
            stop_tokens=frozenset({tokenizer.eos_id}),
            priority=SPEECH_PRIORITY if speech else DECISION_PRIORITY,
            deadline=deadline,
        )
        async for event in generate(self.engine, request):
            text = detokenizer.add(event.tokens)
            draft.text += text
            draft.tokens += len(event.tokens)
            for part in parser.feed(text):
                draft.parts.append(part)
                yield part
            if event.finished:
                draft.finish, draft.timings = event.finished, event.timings
                if event.finished == "error":
                    raise ModelError(event.error)
        for part in self._rest(draft, parser):
            draft.parts.append(part)
            yield part

    def _constraint(self, offers: Sequence[Offer], speech: bool, optional: bool) -> Constraint:
        if not speech:
            return self.choices.constraint(offers)
        acts = bool(offers)
        grammar = reply_grammar(offers, optional=optional)
        return self.grammars.constraint(grammar, sharp=acts, optional=optional and acts)

    def _rest(self, draft: Draft, parser: StreamParser) -> list[Part]:
        """The last sentence. One that was cut off is left out, unless nothing else was said."""
        rest = parser.end()
        if draft.finish == "stop" or not rest:
            return rest
        if any(part.speech for part in draft.parts):
            draft.text = draft.text.rstrip()[: -len(rest[0].speech)].rstrip()
            return []
        return [Part(speech=f"{rest[0].speech}…")]
