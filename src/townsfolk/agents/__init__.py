"""3 ONE TURN: what a villager knows, what it may do now, and the prompt made from both."""

from townsfolk.agents.disguise import Disguise
from townsfolk.agents.hints import RequestMatcher, as_named, called_in, facts
from townsfolk.agents.occasion import Occasion, occasion_in
from townsfolk.agents.offers import is_weighty, offers_for
from townsfolk.agents.prompt import PromptBuilder
from townsfolk.agents.scene import told
from townsfolk.agents.session import Session, View, Window
from townsfolk.agents.template import ChatTemplate
from townsfolk.agents.unaided import unaided
from townsfolk.agents.words import echoes, recites, spoken

__all__ = [
    "ChatTemplate",
    "Disguise",
    "Occasion",
    "PromptBuilder",
    "RequestMatcher",
    "Session",
    "View",
    "Window",
    "as_named",
    "called_in",
    "echoes",
    "facts",
    "is_weighty",
    "occasion_in",
    "offers_for",
    "recites",
    "spoken",
    "told",
    "unaided",
]
