"""What a villager may choose from on one occasion: what it was asked for, what it does of itself, less what
policy forbids.

Refuses to know how a choice is decoded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from townsfolk.agents import Occasion, View, as_named, is_weighty, offers_for, spoken
from townsfolk.interpreter import defuse
from townsfolk.policy.check import Policy
from townsfolk.serving.games import GameState
from townsfolk.types import Offer, Persona


@dataclass(frozen=True)
class Offering:
    """One villager at one occasion.

    Attributes:
        own: the persona as it was written.
        persona: as it is served.
    """

    policy: Policy
    state: GameState
    own: Persona
    persona: Persona
    occasion: Occasion
    view: View

    def offers(self) -> tuple[Offer, ...]:
        """What may be decided now. Asked for what it may not or can't do, it does nothing else."""
        said = spoken(defuse(self.occasion.text)) if self.occasion.speech else ""
        asked = self.state.matcher.asked(said, self.view)
        free = self.persona.unaided and self.occasion.speech
        offers = self._permitted_of(self._free(said) if free else self._on_request(asked), said)
        in_stead = free and asked and asked[0] not in {offer.name for offer in offers}
        return () if in_stead else offers

    def _permitted_of(self, offers: tuple[Offer, ...], said: str) -> tuple[Offer, ...]:
        """What policy leaves of them: of an action nothing, where it forbids what the words name."""
        meant = {offer.name: offer for offer in as_named(offers, said, self.view)}
        forbidden = {name for name, offer in meant.items() if not self._permitted(offer)}
        permitted = (self._permitted(offer) for offer in offers if offer.name not in forbidden)
        return tuple(filter(None, permitted))

    def _permitted(self, offer: Offer) -> Offer | None:
        spec = self.state.specs[offer.name]
        return self.policy.open_to(offer, spec, self.persona.name, self.view.me.position)

    def _on_request(self, asked: Iterable[str]) -> tuple[Offer, ...]:
        """What it was asked for and does on request, else what the persona does of itself."""
        return self._offers(set(asked) & set(self.persona.on_request) or self._of_itself(self.persona))

    def _free(self, said: str) -> tuple[Offer, ...]:
        """An unaided persona is free, but for what players may lose by: no sign, book or name brings that
        about, only words of who speaks that have to do with it, or what it does of itself on this occasion.
        Of such things only those are offered that the words name, where they name any.
        """
        specs = self.state.game.actions
        weighty = [spec for spec in specs if is_weighty(spec, self.view)]
        barred = {spec.name for spec in weighty if not self.state.matcher.speaks_of(said, spec, self.view)}
        offers = self._offers(self._of_itself(self.persona) - barred | self._of_itself(self.own))
        heavy = {spec.name for spec in weighty} | {spec.name for spec in specs if spec.hostile}
        light = tuple(offer for offer in offers if offer.name not in heavy)
        return (*light, *as_named((offer for offer in offers if offer.name in heavy), said, self.view))

    def _offers(self, names: set[str]) -> tuple[Offer, ...]:
        return offers_for(self.state.game.actions, names, self.view)

    def _of_itself(self, persona: Persona) -> set[str]:
        return set(getattr(persona.unasked, self.occasion.kind.value))
