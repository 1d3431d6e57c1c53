"""One row as the model is to see it: the contract between a dataset's rows and every training stage.

It refuses to know texts and templates: whoever serves a persona writes its prompt, so that a villager is
trained on just what it will be shown (serving/rehearsal.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

Ids = tuple[int, ...]


@dataclass(frozen=True)
class TokenRow:
    """A prompt and what was, or should be, said to it.

    Attributes:
        prompt: ids up to and with the opening of the reply.
        shared: how many of them, from the first, every row of the persona begins with.
        reply: ids of the reply, the end of the turn among them: the only ones with a loss.
        rejected: a worse reply to the same, the end of the turn among its ids; empty: none is known.
        reward: -1 to 1, as players judged the reply; None: it was not judged, but is one to imitate.
        weight: how much the row counts.
        said: the player's words, which a reply should not just give back.
        acts: how many of the reply's tokens, from the first, decide what is done: its tag, or the token that
            opens speech.
        adverse: what was said poses as an order and is none; the reply turns it down.
    """

    id: str
    persona: str
    group: str
    prompt: Ids
    shared: int
    reply: Ids
    rejected: Ids = ()
    reward: float | None = None
    weight: float = 1.0
    said: str = ""
    acts: int = 1
    adverse: bool = False

    @property
    def to_imitate(self) -> bool:
        """Whether players liked the reply, or nobody judged it."""
        return self.reward is None or self.reward > 0


def sharing(rows: Sequence[TokenRow]) -> list[TokenRow]:
    """The rows, told to share all that their prompts begin with: one prompt of all is computed once."""
    shared = common_length([row.prompt for row in rows])
    return [replace(row, shared=shared) for row in rows]


def common_length(prompts: Sequence[Ids]) -> int:
    """How many tokens all prompts begin with."""
    columns = zip(*prompts, strict=False)
    return sum(1 for _ in takewhile(lambda column: len({*column}) == 1, columns))


@dataclass(frozen=True)
class Rows:
    """What is learnt, and what is only measured.

    Attributes:
        dataset_hash: of the dataset they are of.
    """

    train: Sequence[TokenRow]
    held_out: Sequence[TokenRow]
    dataset_hash: str
