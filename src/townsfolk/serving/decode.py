"""Prompt and offers -> parts of a reply as they are decoded. For game turns, `Infer` and chats alike."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from townsfolk.config import AgentSettings
from townsfolk.engine import (
    Constraint,
    Detokenizer,
    Finish,
    GenerationRequest,
    SamplingParams,
    Timings,
)
from townsfolk.errors import ModelError
from townsfolk.interpreter import ChoiceCompiler, GrammarCompiler, Part, StreamParser, reply_grammar
from townsfolk.serving.generate import Decoder, generate
from townsfolk.serving.rewards import RewardModel
from townsfolk.serving.tracing import trace_decoding
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
    """Decodes replies held by a grammar, and decisions. Shared by game turns, `Infer` and chats.

    Attributes:
        rewards: chooses among `settings.best_of` replies; None: the first is taken as it comes.
        held: False: no grammar and no choices, the model writes what it likes; evaluation alone does so.
    """

    engine: Decoder
    grammars: GrammarCompiler
    choices: ChoiceCompiler
    settings: AgentSettings
    rewards: RewardModel | None = None
    held: bool = True

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

        Where several replies are drawn, all parts come when the best is known.

        Raises:
            Busy, AdapterError, InvalidRequest: as `Engine.submit`; the last also for lack of choices.
            ModelError: the pass failed.
        """

        def request(name: str) -> GenerationRequest:
            return GenerationRequest(
                sequence_id=name,
                prompt=prompt,
                max_tokens=max_tokens or self.settings.max_reply_tokens,
                adapter=adapter,
                sampling=SamplingParams(sampling.temperature, sampling.top_p, 0, sampling.repetition_penalty),
                constraint=self._constraint(offers, speech, optional),
                stop_tokens=frozenset({self.engine.tokenizer.eos_id}),
                priority=SPEECH_PRIORITY if speech else DECISION_PRIORITY,
                deadline=deadline,
            )

        draws = self.settings.best_of if speech and self.rewards and sampling.temperature > 0 else 1
        requests = [request(sequence_id), *(request(f"{sequence_id}/{n}") for n in range(1, draws))]
        source = self._decode(requests[0], draft) if draws == 1 else self._best(requests, draft)
        async with aclosing(source) as parts:
            async for part in parts:
                yield part

    async def _best(self, requests: Sequence[GenerationRequest], draft: Draft) -> AsyncGenerator[Part, None]:
        """Decode all of them together; the parts of the best. Those that fail are left out."""
        drawn = [Draft() for _ in requests]
        pairs = zip(requests, drawn, strict=True)
        try:
            faults = await asyncio.gather(*(self._drain(*pair) for pair in pairs), return_exceptions=True)
        finally:
            for other in requests[1:]:
                self.engine.drop(other.sequence_id)
        whole = [own for own, fault in zip(drawn, faults, strict=True) if fault is None]
        if not whole:
            raise next(fault for fault in faults if fault)
        best = await asyncio.to_thread(self._preferred, requests[0].prompt, whole)
        vars(draft).update(vars(best))
        for part in best.parts:
            yield part

    async def _drain(self, request: GenerationRequest, draft: Draft) -> None:
        async with aclosing(self._decode(request, draft)) as parts:
            async for _ in parts:
                pass

    def _preferred(self, prompt: Sequence[int], drawn: Sequence[Draft]) -> Draft:
        """By the reward model, of those that came to an end by themselves where there are any."""
        ended = [own for own in drawn if own.finish == "stop"] or drawn
        unlike = list({own.text: own for own in ended}.values())
        if len(unlike) == 1 or self.rewards is None:
            return unlike[0]
        return unlike[self.rewards.best(prompt, [own.text for own in unlike])]

    async def _decode(self, request: GenerationRequest, draft: Draft) -> AsyncGenerator[Part, None]:
        parser, detokenizer = StreamParser(), Detokenizer(self.engine.tokenizer)
        async for event in generate(self.engine, request):
            text = detokenizer.add(event.tokens)
            draft.text += text
            draft.tokens += len(event.tokens)
            for part in parser.feed(text):
                draft.parts.append(part)
                yield part
            if event.finished:
                draft.finish, draft.timings = event.finished, event.timings
                if event.timings:
                    trace_decoding(event.timings)
                if event.finished == "error":
                    raise ModelError(event.error)
        for part in self._rest(draft, parser):
            draft.parts.append(part)
            yield part

    def _constraint(self, offers: Sequence[Offer], speech: bool, optional: bool) -> Constraint | None:
        if not self.held:
            return None
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
