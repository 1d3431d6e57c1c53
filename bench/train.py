"""Training speed: our SFT against TRL's on the same rows, in the same batches, on one machine.

scripts/bench train [--json FILE] [--steps 20] [--threads 2] [--batch-size 8] [--persona explorer]

Ours packs rows, shares their opening and computes logits at replies' tokens alone; TRL pads them. Both start
from the same adapter and see the same rows in the same order, so their losses must be the same course.
Peers: TRL as it comes (bfloat16, activations computed twice), and TRL told what suits a CPU (float32,
activations kept).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from rich.console import Console
from rich.table import Table

from townsfolk.cli.train import open_base, token_rows
from townsfolk.training.data import read_exchanges, read_names
from townsfolk.training.data.dataset import Recipe, build_dataset
from townsfolk.training.stages import base, sft, trainers
from townsfolk.training.stages.config import SftConfig
from townsfolk.training.stages.run import LOG, Run, read_log
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows

BAR = 1.5
PEERS: dict[str, dict[str, Any]] = {
    "trl": {},
    "trl_tuned": {"bf16": False, "gradient_checkpointing": False},
}
FIGURES = ("tokens_per_s", "tokens_per_cpu_s", "seconds")
Result = dict[str, Any]


def main(arguments: Sequence[str]) -> None:
    """Measure each trainer, print figures and losses side by side; write the file asked for."""
    options = _parse(arguments)
    with tempfile.TemporaryDirectory(prefix="townsfolk-bench-") as folder:
        config, served, rows = _prepared(options, Path(folder))
        results = {"ours": _ours(config, served, rows)}
        for name in options.peers.split(","):
            results[name] = _peer(config, served, rows, PEERS[name])
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(_told(results, options.threads), indent=1) + "\n")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench train")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--persona", default="explorer")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    return parser.parse_args(arguments)


def _prepared(options: argparse.Namespace, folder: Path) -> tuple[SftConfig, ServedBase, Rows]:
    """Rows of the shipped exchanges, as many as the steps take."""
    exchanges = {options.persona: read_exchanges(Path("data/dialogue") / f"{options.persona}.yaml")}
    build_dataset(exchanges, read_names(Path("data/names")), Recipe(variants=1), folder / "data")
    config = SftConfig(
        persona=options.persona,
        dataset=folder / "data",
        output_dir=folder / "run",
        threads=options.threads,
        batch_size=options.batch_size,
        max_steps=options.steps,
        epochs=1,
        log_steps=1,
        save_steps=options.steps + 1,
        eval_rows=0,
        device="cpu",
        dtype="float32",
    )
    served, rehearsal = open_base(config)
    rows = token_rows(config, served, rehearsal)
    drawn = list(sft.AlikeSampler(rows.train, options.batch_size, config.seed))
    taken = drawn[: options.steps * options.batch_size]
    return config, served, Rows([rows.train[n] for n in taken], (), rows.dataset_hash)


def _model(config: SftConfig, served: ServedBase) -> Any:
    return base.load_adapted(served, config)[0]


def _in_order(trainer: type) -> type:
    """`trainer` taking rows as they lie: what is compared sees the same batches."""

    class InOrder(trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    return InOrder


def _ours(config: SftConfig, served: ServedBase, rows: Rows) -> Result:
    model = _model(config, served)
    run = Run(config, quiet=True)
    run.open()
    trainer = _in_order(sft.PackedTrainer)(model, config, served, rows, run)
    return _timed(trainer, rows) | {"losses": _losses(read_log(config.output_dir / LOG))}


def _peer(config: SftConfig, served: ServedBase, rows: Rows, settings: dict[str, Any]) -> Result:
    examples = [
        {
            "input_ids": [*row.prompt, *row.reply],
            "labels": [-100] * len(row.prompt) + [*row.reply],
        }
        for row in rows.train
    ]
    ours = trainers.arguments(config, config.output_dir / "peer", trl.SFTConfig).to_dict()
    same = {
        key: ours[key]
        for key in (
            "output_dir", "use_cpu", "seed", "max_steps", "per_device_train_batch_size", "learning_rate",
            "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "logging_steps",
            "save_strategy", "save_steps", "report_to", "disable_tqdm",
        )
    }  # fmt: skip
    trainer = _in_order(trl.SFTTrainer)(
        model=_model(config, served),
        args=trl.SFTConfig(**same, **settings),
        train_dataset=datasets.Dataset.from_list(examples),
        processing_class=base.load_tokenizer(served),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return _timed(trainer, rows) | {"losses": _losses(trainer.state.log_history)}


def _losses(log: Sequence[dict[str, float]]) -> list[float]:
    return [line["loss"] for line in log if "loss" in line]


def _timed(trainer: Any, rows: Rows) -> Result:
    tokens = sum(len(row.prompt) + len(row.reply) for row in rows.train)
    began, computed = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - computed
    return {"tokens_per_s": tokens / seconds, "tokens_per_cpu_s": tokens / cpu_seconds, "seconds": seconds}


def _print(results: dict[str, Result]) -> None:
    console = Console(width=110)
    ours = results["ours"]
    table = Table("trainer", *FIGURES, "largest difference of the loss")
    for name, result in results.items():
        figures = (f"{result[figure]:.1f}" for figure in FIGURES)
        table.add_row(name, *figures, f"{_gap(ours, result):.4f}")
    losses = Table("step", *results, title="loss")
    for step, values in enumerate(
        zip(*(result["losses"] for result in results.values()), strict=True), start=1
    ):
        losses.add_row(str(step), *(f"{value:.4f}" for value in values))
    console.print(losses)
    console.print(table)
    for name, ratios in _ratios(results).items():
        wall, cpu = ratios.values()
        verdict = "holds" if wall >= BAR else "missed"
        console.print(f"{name}: {wall:.2f} x (at least {BAR}): {verdict}; by processor time {cpu:.2f} x")


def _ratios(results: dict[str, Result]) -> dict[str, dict[str, float]]:
    """Ours to each peer, by the clock and by the processor's time, which other programs disturb less."""
    ours = results["ours"]
    return {
        name: {figure: ours[figure] / result[figure] for figure in FIGURES[:2]}
        for name, result in results.items()
        if name != "ours"
    }


def _gap(ours: Result, other: Result) -> float:
    gaps: list[float] = [abs(a - b) for a, b in zip(ours["losses"], other["losses"], strict=True)]
    return max(gaps)


def _told(results: dict[str, Result], threads: int) -> Result:
    gaps = {name: _gap(results["ours"], result) for name, result in results.items()}
    return {
        "threads": threads,
        "bar": BAR,
        "trainers": results,
        "ratios": _ratios(results),
        "loss_gaps": gaps,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
