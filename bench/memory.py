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
from bench.service import GameClient, serving
from townsfolk.engine.model import open_model

ADAPTERS, VILLAGERS = 16, 32
KV_TOKENS = 20_480
TOLD_DIGITS = 430
"""With the persona before them and the answer after them: 512 tokens."""


def memory_row(options: Options, home: Path) -> Row:
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
        "AGENTS__MAX_REPLY_TOKENS": "8",
    }
    with serving(home, settings) as service, service.connect() as game:
        game.ask([meeting(villager) for villager in villagers])
        without = service.rss_mb()
        for persona, adapter in zip(personas, adapters, strict=True):
            service.load_adapter(persona, adapter)
        game.ask([tick(villager) for villager in villagers])
        empty, tokens = service.rss_mb(), service.metric("townsfolk_kv_cache_usage_ratio") * KV_TOKENS
        _fill(game, villagers)
        full = service.rss_mb()
        filled = service.metric("townsfolk_kv_cache_usage_ratio") * KV_TOKENS
    per_token = (full - empty) / (filled - tokens)
    return row_of(
        "memory_32",
        rss_mb=full,
        tokens_per_villager=filled / VILLAGERS,
        mb_per_villager=per_token * 512,
        mb_per_adapter=(empty - without) / ADAPTERS,
    )


def _fill(game: GameClient, villagers: Sequence[Villager]) -> None:
    """One after the other: all at once would be late."""
    for villager in villagers:
        game.ask([told(villager, digits(TOLD_DIGITS))])
