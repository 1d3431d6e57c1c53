"""What both protocols stand on: a service behind its permits, the tokens, the registry of metrics."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from townsfolk.config import Settings
from townsfolk.gateway.permits import Permitted
from townsfolk.gateway.service import Service
from townsfolk.gateway.tokens import Tokens


@dataclass(frozen=True)
class Front:
    """Built once, so that a caller's limits are the same whichever way it comes."""

    service: Service
    settings: Settings
    registry: CollectorRegistry
    tokens: Tokens

    @classmethod
    def of(cls, service: Service, settings: Settings, registry: CollectorRegistry) -> "Front":
        """Raises ConfigError: the file of tokens can't be read."""
        return cls(Permitted(service, settings.limits), settings, registry, Tokens(settings))
