"""What villagers should say and do, as data."""

from townsfolk.training.data.exchange import Exchange, read_exchanges
from townsfolk.training.data.grounding import faults
from townsfolk.training.data.names import Names, read_actions, read_names

__all__ = ["Exchange", "Names", "faults", "read_actions", "read_exchanges", "read_names"]
