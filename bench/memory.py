"""The row of the service's memory: 32 villagers with 512 tokens each, 16 adapters; and one more of either."""

from collections.abc import Sequence
from pathlib import Path

from bench.bars import Row, row_of
from bench.options import Options
from bench.people import (
    Villager,
    digits,
    meeting,
    persona_names,
    service_settings,
    tick,
    told,
    villagers_of,
    write_adapters,
    write_personas,
)
from bench.service import CallFailed, GameClient, Service, serving
from townsfolk.engine.model import open_model

MEMORY_ROWS = {"memory_32": 16, "memory_32_kv_8_bits": 8}
"""Name -> bits of the KV cache."""
ADAPTERS, VILLAGERS, TOKENS = 16, 32, 512
KV_TOKENS = 20_480
FULL = 0.9
"""Of the tokens meant: some are shared after all."""
TOLD_DIGITS = 436
"""With the persona before (68 tokens, the question's frame among them) and the answer after (8): 512."""


def memory_row(name: str, options: Options, home: Path) -> Row:
    """Resident memory as adapters come, then as villagers are told what fills their context.

    The personas show no examples, so that hardly a token of two villagers' contexts is shared.
    """
    personas = persona_names(ADAPTERS)
    write_personas(home / "personas", personas, examples=())
    adapters = write_adapters(home / "adapters", personas, open_model(options.model))
    villagers = villagers_of(personas * (VILLAGERS // ADAPTERS))
    settings = service_settings(options, home) | {
        "ENGINE__ADAPTER_SLOTS": str(ADAPTERS),
        "ENGINE__KV_TOKENS": str(KV_TOKENS),
        "ENGINE__KV_BITS": str(MEMORY_ROWS[name]),
        "AGENTS__MAX_REPLY_TOKENS": "8",
    }
    with serving(home, settings) as service, service.connect() as game:
        game.ask([meeting(villager) for villager in villagers])
        without, shared = service.rss_mb(), _kv_tokens(service)
        for persona, adapter in zip(personas, adapters, strict=True):
            service.load_adapter(persona, adapter)
        game.ask([tick(villager) for villager in villagers])
        empty, tokens = service.rss_mb(), _kv_tokens(service)
        _fill(game, villagers)
        full, filled = service.rss_mb(), _kv_tokens(service)
    if filled < FULL * VILLAGERS * TOKENS:
        raise CallFailed(
            f"{filled:.0f} tokens in the KV cache, not {VILLAGERS} x {TOKENS}: not what is to be measured"
        )
    mb_per_token = (full - empty) / (filled - tokens)
    return row_of(
        name,
        rss_mb=full,
        kv_tokens=filled,
        mb_per_villager=mb_per_token * TOKENS,
        mb_per_adapter=(empty - without - (tokens - shared) * mb_per_token) / ADAPTERS,
    )


def _kv_tokens(service: Service) -> float:
    """Tokens in the KV cache, the shipped personas' openings among them."""
    return service.metric("townsfolk_kv_cache_usage_ratio") * KV_TOKENS


def _fill(game: GameClient, villagers: Sequence[Villager]) -> None:
    """One after the other: all at once would be late."""
    for villager in villagers:
        answers = game.ask([told(villager, digits(TOLD_DIGITS))])
        if answers.refused:
            raise CallFailed(f"refused: {answers.refused}")
