"""8 LEARN: what villagers should say and do, as data."""

from townsfolk.training.exchange import Exchange, read_exchanges
from townsfolk.training.grounding import faults
from townsfolk.training.names import Names, read_names

__all__ = ["Exchange", "Names", "faults", "read_exchanges", "read_names"]
