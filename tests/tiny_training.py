"""What tests of the training stages share: a tiny base model as it is served, and rows for it."""

import json
import random
from pathlib import Path
from typing import Any

from tiny_model import write_tiny_model
from townsfolk.agents.template import ChatTemplate
from townsfolk.cli.train import served_base
from townsfolk.engine import ModelTokenizer, open_model
from townsfolk.training.data.rows import HELD_OUT, MANIFEST, TRAIN, DataRow, write_rows
from townsfolk.training.stages.config import SftConfig
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow

SYSTEM = ("system", "You are Wren, the guard.")


def write_served(folder: Path) -> tuple[ServedBase, ModelTokenizer, ChatTemplate]:
    """A tiny model in `folder`, and what the service says of it."""
    model = open_model(write_tiny_model(folder / "tiny.gguf", context=1_024))
    tokenizer = ModelTokenizer(model.metadata)
    template = ChatTemplate(tokenizer.chat_template, tokenizer)
    return served_base(folder / "tiny.gguf", model, tokenizer, template), tokenizer, template


def some_rows(tokenizer: ModelTokenizer, template: ChatTemplate, count: int, seed: int = 0) -> list[TokenRow]:
    """Rows of one persona: prompts and replies of different lengths, weights and rewards."""
    draw = random.Random(seed)
    common = len(template.encode([SYSTEM])) - len(template.encode([("system", "")])) + 4
    rows = []
    for number in range(count):
        said = " ".join(draw.choices(["hello", "the", "tree", "in", "there", "well"], k=draw.randint(1, 9)))
        prompt = tuple(template.encode([SYSTEM, ("user", said)]))
        reply = (*tokenizer.encode("hello there"[: draw.randint(2, 11)]), tokenizer.eos_id)
        weight, reward = draw.uniform(0.5, 2), draw.uniform(0.1, 1)
        rows.append(TokenRow(f"row{number}", "guard", str(number), prompt, common, reply, (), reward, weight))
    return rows


def config_for(served: ServedBase, folder: Path, **settings: Any) -> SftConfig:
    """Settings of a run on the tiny model that takes a second."""
    told = {
        "persona": "guard",
        "dataset": folder / "none",
        "output_dir": folder / "run",
        "model": served.file,
        "threads": 1,
        "epochs": 2,
        "batch_size": 4,
        "lr": 1e-2,
        "log_steps": 1,
        "device": "cpu",
        "dtype": "float32",  # on every processor: tests compare numbers more finely than bfloat16 has them
    }
    return SftConfig(**(told | settings))


def rows_of(rows: list[TokenRow], held_out: int = 4) -> Rows:
    return Rows(rows[held_out:], rows[:held_out], "0" * 64)


def write_dataset(folder: Path, count: int) -> Path:
    """A dataset of `count` rows of the guard, some held out."""
    folder.mkdir(parents=True)
    rows = [
        DataRow(
            id=f"guard/{number}",
            persona="guard",
            source="import",
            group=f"guard/{number}",
            context=f"sam to Wren: hello, number {number}",
            reply=f"Hello there, {number}.",
            reward=(number % 3 - 1) / 2,
        )
        for number in range(count)
    ]
    hashes = [write_rows(folder / HELD_OUT, rows[:4]), write_rows(folder / TRAIN, rows[4:])]
    (folder / MANIFEST).write_text(json.dumps({"hash": hashes[1]}))
    return folder
