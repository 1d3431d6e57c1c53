"""kill -9 at random moments of a training run: continued, it is to the bit what one run would have made.

Until a run is over there is no manifest; where there is one, the adapter beside it can be read, and is it.
"""

import os
import random
import sys
import time
from contextlib import redirect_stdout
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.promises import Row
from tiny_model import write_tiny_model
from tiny_training import write_dataset
from townsfolk.engine.adapters import read_adapter
from townsfolk.engine.model import Model, open_model

FORK = get_context("fork")
"""The imports take longer than the run: they are done once, here."""
STEPS, SAVED = 12, 2
RUN_S = 600


def killed_training(folder: Path, rounds: int, chance: random.Random) -> Row:
    """While an adapter is trained."""
    import_module("townsfolk.training.stages.sft")
    recipe, model = _recipe(folder), open_model(folder / "tiny.gguf")
    started = time.monotonic()
    _train_to_the_end(recipe, folder / "whole")
    took, wanted = time.monotonic() - started, _trained(folder / "whole", model)
    survived, continued = 0, 0
    for number in range(rounds):
        output = folder / f"cut{continued}"
        process = _start(recipe, output)
        process.join(chance.uniform(0, took))
        process.kill()
        process.join()
        found = _trained(output, model)
        survived += found in ("", wanted)
        continued += (
            bool(found) or number % 5 == 4
        )  # some are killed many times, all are continued in the end
    for output in sorted(folder.glob("cut*")):
        if not _trained(output, model):  # one that ended before it was killed is not trained again
            _train_to_the_end(recipe, output)
        survived -= _trained(output, model) != wanted
    return Row("killed_training", rounds, survived, note=f"{continued + 1} runs, one takes {took:.1f} s")


def _recipe(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model = write_tiny_model(folder / "tiny.gguf", context=1_024)
    data = write_dataset(folder / "data", 20)
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"persona: guard\ndataset: {data}\nmodel: {model}\nthreads: 1\nlr: 1e-2\ndevice: cpu\n"
        f"max_steps: {STEPS}\nsave_steps: {SAVED}\nlog_steps: 1\nlora_dropout: 0.1\neval_rows: 2\n"
    )
    return recipe


def _start(recipe: Path, output: Path) -> BaseProcess:
    process = FORK.Process(target=_train, args=(recipe, output), daemon=True)
    process.start()
    return process


def _train_to_the_end(recipe: Path, output: Path) -> None:
    process = _start(recipe, output)
    process.join(RUN_S)
    if process.exitcode != 0:
        raise ChildProcessError(f"training into {output} ended with {process.exitcode}")


def _train(recipe: Path, output: Path) -> None:
    from townsfolk.cli import main

    sys.argv = ["townsfolk", "train", "sft", str(recipe), "--json", "--output_dir", str(output)]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        main()


def _trained(output: Path, model: Model) -> str:
    """The content hash of a run's adapter, read anew; empty: the run is not over."""
    if not (output / "manifest.json").is_file():
        return ""
    return read_adapter(output / "adapter", [output], model.params, model.base_hash).content_hash
