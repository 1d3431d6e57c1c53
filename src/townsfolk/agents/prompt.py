"""Session and occasion -> messages -> token ids within the budget.

The prompt only ever grows at its end, so that the KV cache serves again for all that came before; when
it is full, the older half of the windows goes at once and the rest is prefilled anew.
"""

import re
from collections.abc import Callable, Sequence

from townsfolk.agents.disguise import Disguise
from townsfolk.agents.occasion import Occasion
from townsfolk.agents.scene import told
from townsfolk.agents.session import Session, View, Window
from townsfolk.agents.template import ChatTemplate
from townsfolk.agents.words import heard
from townsfolk.errors import InvalidRequest
from townsfolk.types import EventKind, Persona, fill

Messages = list[tuple[str, str]]
SHOWN_PLAYER, SHOWN_NAME = "Player", "Ida"
"""Who talks with whom in the examples."""
_SPEECH = re.compile(r"[\w-]+ to [^:]+: (.*)")
LONGEST_TOKEN = 16
"""Text of more characters than this for each token that fits need not be encoded to see that it does not."""


class PromptBuilder:
    """Prompts for one base model.

    Attributes:
        template: the base model's.
        max_tokens: what a prompt may have, the reply not counted.
    """

    def __init__(self, template: ChatTemplate, max_tokens: int, defuse: Callable[[str], str]) -> None:
        self.template, self.max_tokens, self._defuse = template, max_tokens, defuse

    def build(self, session: Session, persona: Persona, window_text: str, player: str = "") -> list[int]:
        """Ids of the whole prompt that ends with `window_text`, at most `max_tokens` of them.

        Args:
            player: who is answered; what others told the villager in private is left out.
        """
        prompt = self._encode(session, persona, window_text, player)
        while len(prompt) > self.max_tokens and session.first_window < len(session.windows):
            session.first_window += max(1, (len(session.windows) - session.first_window) // 2)
            prompt = self._encode(session, persona, window_text, player)
        return (
            prompt if len(prompt) <= self.max_tokens else self.fit(opening(persona), [("user", window_text)])
        )

    def opening(self, persona: Persona) -> list[int]:
        """Ids of what every prompt of a persona begins with."""
        return self.template.encode(opening(persona))[: self.max_tokens]

    def fit(self, shown: Messages, told: Messages) -> list[int]:
        """Ids of `shown`, the persona's opening, and of the end of `told`, at most `max_tokens` of them.

        The oldest messages of `told` go first, then the beginning of the last one: however much is said, the
        persona stays.

        Raises:
            InvalidRequest: `shown` alone is too long.
        """
        most = self.max_tokens * LONGEST_TOKEN
        kept = told if _length(shown) <= most else []
        while kept and _length(kept) > most:
            kept = _shortened(kept)
        while kept:
            prompt = self.template.encode([*shown, *kept])
            if len(prompt) <= self.max_tokens:
                return prompt
            kept = _shortened(kept)
        raise InvalidRequest(
            f"the persona and the system messages fill the {self.max_tokens} tokens of a prompt: shorten "
            "them, or raise engine.max_context"
        )

    def window(
        self, session: Session, view: View, occasion: Occasion, persona: Persona, disguise: Disguise
    ) -> str:
        """This turn's context window: what the villager is told, and what happened, as `disguise` has it."""
        past = disguise.past(session.past(occasion.player))
        view, occasion = disguise.view(view), disguise.occasion(occasion)
        return self.window_text(session, occasion, told(past, view, occasion, persona))

    def window_text(self, session: Session, occasion: Occasion, told: Sequence[str]) -> str:
        """This turn's context window: the sentences `told` of the scene, and what happened.

        Names, titles and words of players are untrusted: no line of theirs becomes two, none holds a tag.
        """
        return lines(self._line(aside(told)), self._line(_happened(occasion, session.name)))

    def _line(self, text: str) -> str:
        return one_line(self._defuse(text))

    def _encode(self, session: Session, persona: Persona, window_text: str, player: str) -> list[int]:
        kept = list(session.windows)[max(session.first_window, len(session.windows) - persona.history) :]
        open_to = [window for window in kept if window.confidant in ("", player)]
        return self.template.encode([*opening(persona), *_exchanges(open_to), ("user", window_text)])


def opening(persona: Persona) -> Messages:
    """System message and example exchanges.

    The same for all villagers of a persona, so that they share its part of the KV cache: names come in
    with the facts of a turn.
    """
    traits = ", ".join(persona.traits)
    messages = [
        (
            "system",
            f"You are {persona.title}, {traits}. {persona.speech} Answer the player in one short sentence.",
        )
    ]
    for example in persona.examples:
        asked = lines(aside(example.hints), f"{SHOWN_PLAYER} to {SHOWN_NAME}: {example.player}")
        messages += [("user", asked), ("assistant", example.reply)]
    return [(role, fill(text, name=SHOWN_NAME, player=SHOWN_PLAYER)) for role, text in messages]


def _length(messages: Messages) -> int:
    return sum(len(text) for _, text in messages)


def _shortened(messages: Messages) -> Messages:
    """The newer half; of a single message all but its first quarter, and nothing of an empty one."""
    if len(messages) > 1:
        return messages[len(messages) // 2 :]
    return [(role, text[len(text) // 4 + 1 :]) for role, text in messages if text]


def _happened(occasion: Occasion, name: str) -> str:
    """Lines of a play, so that the model knows whom it speaks for without a prompt of its own."""
    if occasion.kind is EventKind.SPOKEN_TO:
        return f"{occasion.player} to {name}: {heard(occasion.text)}"
    if occasion.kind is EventKind.GIFT:
        return f"{occasion.player} gives {name} a present."
    if occasion.kind is EventKind.PUNCHED:
        return f"{occasion.player or 'Something'} hits {name}!"
    return f"What does {name} do?"


def told_in(window_text: str) -> str:
    """What the player said in a window that is only known as text; "" where nobody spoke."""
    speech = _SPEECH.fullmatch(window_text.rpartition("\n")[2])
    return speech[1] if speech else ""


def one_line(text: str) -> str:
    """`text` without line breaks and control characters, so that it can't pose as another line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def lines(*parts: str) -> str:
    """The `parts` that are not empty, one a line."""
    return "\n".join(part for part in parts if part)


def aside(sentences: Sequence[str]) -> str:
    """What the villager is told besides the words of the player, in brackets on a line of its own."""
    told = " ".join(sentence for sentence in sentences if sentence)
    return f"({told})" if told else ""


def _exchanges(windows: Sequence[Window]) -> Messages:
    return [message for it in windows for message in (("user", it.text), ("assistant", it.reply))]
