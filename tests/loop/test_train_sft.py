"""Supervised fine-tuning and behavioural cloning, end to end on a tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tiny_training import config_for, rows_of, some_rows, write_dataset, write_served
from townsfolk.cli import app
from townsfolk.config import EngineSettings
from townsfolk.engine import Engine
from townsfolk.errors import AdapterError, ConfigError
from townsfolk.training.stages.config import BcConfig
from townsfolk.training.stages.served import ServedBase
from townsfolk.training.stages.tokens import Rows, TokenRow
from townsfolk.types.manifest import Manifest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from townsfolk.training.stages import base, bc, sft
from townsfolk.training.stages.run import read_log

STEPS = 60


@dataclass(frozen=True)
class Home:
    """A home folder with a tiny base model, and rows for it."""

    folder: Path
    served: ServedBase
    rows: list[TokenRow]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(folder))
        served, tokenizer, template = write_served(folder)
        yield Home(folder, served, some_rows(tokenizer, template, 24))


@pytest.fixture(scope="module")
def parent(home: Home) -> Path:
    """The folder of a finished run."""
    folder = home.folder / "parent"
    sft.run(
        config_for(home.served, home.folder, output_dir=folder), home.served, rows_of(home.rows), quiet=True
    )
    return folder


def manifest_of(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / "manifest.json").read_text())


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(folder / "log.jsonl") if "loss" in line]


def test_a_run_learns_and_leaves_what_is_served(home: Home, parent: Path) -> None:
    course = losses(parent)
    assert course[-1] < course[0] - 1
    manifest = manifest_of(parent)
    assert (manifest.stage, manifest.rows, manifest.steps, manifest.parent) == ("sft", 20, 10, "")
    assert manifest.adapter_hash == home.served.check_adapter(parent / "adapter")
    assert not [value for value in manifest.settings.values() if str(home.folder) in str(value)]
    assert {"tokens_per_s", "rss_mb", "learning_rate"} < read_log(parent / "log.jsonl")[0].keys()
    assert (parent / "curves.png").read_bytes().startswith(b"\x89PNG")
    files = {path.name for path in (parent / "adapter").iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}
    assert str(home.folder) not in (parent / "adapter" / "adapter_config.json").read_text()


def test_what_was_logged_before_the_first_checkpoint_is_logged_anew(home: Home, tmp_path: Path) -> None:
    config = config_for(home.served, tmp_path, max_steps=1)
    config.output_dir.mkdir()
    (config.output_dir / "log.jsonl").write_text('{"step": 1, "loss": 99}\n{"step": 2, "lo')
    sft.run(config, home.served, rows_of(home.rows), quiet=True)
    assert len(losses(config.output_dir)) == 1
    assert losses(config.output_dir)[0] < 99


def test_what_was_disliked_is_not_imitated(home: Home, tmp_path: Path) -> None:
    rows = [
        replace(row, reward=reward) for row, reward in zip(home.rows, (None, 1.0, 0.0, -1.0), strict=False)
    ]
    config = config_for(home.served, tmp_path, max_steps=1)
    manifest = sft.run(config, home.served, Rows(rows, (), "0" * 64), quiet=True)
    assert manifest.rows == 2
    disliked = Rows(rows[2:], (), "0" * 64)
    with pytest.raises(ConfigError, match="no rows of guard for sft"):
        sft.run(
            config_for(home.served, tmp_path, output_dir=tmp_path / "none"), home.served, disliked, quiet=True
        )


def test_the_same_seed_gives_the_same_adapter(home: Home, parent: Path, tmp_path: Path) -> None:
    hashes = [
        sft.run(
            config_for(home.served, tmp_path, output_dir=tmp_path / str(n), seed=seed),
            home.served,
            rows_of(home.rows),
            quiet=True,
        ).adapter_hash
        for n, seed in enumerate((0, 1))
    ]
    assert hashes[0] == manifest_of(parent).adapter_hash != hashes[1]


def test_a_child_goes_on_where_its_parent_stopped(home: Home, parent: Path, tmp_path: Path) -> None:
    config = config_for(home.served, tmp_path, parent=str(parent), lr=1e-3)
    child = sft.run(config, home.served, rows_of(home.rows), quiet=True)
    assert child.parent == manifest_of(parent).adapter_hash != child.adapter_hash
    assert losses(tmp_path / "run")[0] < losses(parent)[0] - 1


@pytest.mark.parametrize(
    ("name", "asked"),
    [("lora_rank", 4), ("lora_alpha", 32), ("target_modules", ("q_proj", "v_proj")), ("activated", True)],
)
def test_a_child_in_another_shape_is_refused(
    home: Home, parent: Path, tmp_path: Path, name: str, asked: object
) -> None:
    config = config_for(home.served, tmp_path, parent=str(parent), **{name: asked})
    with pytest.raises(ConfigError, match=f"^{name} .*leave {name} out"):
        sft.run(config, home.served, rows_of(home.rows), quiet=True)


def test_a_parent_of_another_base_is_refused(home: Home, parent: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        data = (parent / "adapter" / name).read_bytes()
        (stranger / name).write_bytes(data.replace(home.served.sha256.encode(), b"0" * 64))
    config = config_for(home.served, tmp_path, parent=str(stranger))
    with pytest.raises(AdapterError, match="train on it"):
        sft.run(config, home.served, rows_of(home.rows), quiet=True)


@pytest.mark.parametrize(
    ("activated", "dtype", "share"),
    [(False, "float32", 0.1), (True, "float32", 0.1), (False, "bfloat16", 0.3)],
    ids=["lora", "alora", "lora on a base in bfloat16"],
)
def test_the_engine_serves_what_was_trained(
    home: Home, tmp_path: Path, activated: bool, dtype: str, share: float
) -> None:
    config = config_for(home.served, tmp_path, activated=activated, dtype=dtype)
    manifest = sft.run(config, home.served, rows_of(home.rows), quiet=True)
    model, _ = base.load_adapted(home.served, config.model_copy(update={"parent": str(tmp_path / "run")}))
    model.eval()
    tokens = home.rows[0].prompt + home.rows[0].reply
    wanted = len(home.rows[0].reply) + 1
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([tokens])).logits[0, -wanted:].float().numpy()
    with Engine.open(EngineSettings(model=home.served.file, runner="onnx")) as engine:
        info = engine.load_adapter(tmp_path / "run" / "adapter", [tmp_path])
        found = engine.score(tokens, info.content_hash, wanted)
        plain = engine.score(tokens, None, wanted)
    assert info.content_hash == manifest.adapter_hash
    off, effect = np.abs(found - expected).mean(), np.abs(plain - expected).mean()
    assert off < share * effect


def test_a_killed_run_is_continued_with_the_same_losses(home: Home, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    data = write_dataset(tmp_path / "data", 20)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"persona: guard\ndataset: {data}\nmodel: {home.served.file}\nthreads: 1\nlr: 1e-2\n"
        f"max_steps: {STEPS}\nsave_steps: 5\nlog_steps: 1\nlora_dropout: 0.1\neval_rows: 2\n"
    )
    command = ["train", "sft", str(recipe), "--json", "--output_dir"]

    process = subprocess.Popen([sys.executable, "-m", "townsfolk.cli", *command, str(cut)], env=os.environ)
    deadline = time.monotonic() + 300
    while len(read_log(cut / "log.jsonl")) < 14:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (cut / "manifest.json").exists()

    (cut / "checkpoints" / "checkpoint-999").mkdir()  # as a crash while writing one leaves it
    hashes = []
    for folder in (cut, whole):
        done = CliRunner().invoke(app, [*command, str(folder)], catch_exceptions=False)
        hashes.append(json.loads(done.stdout)["adapter_hash"])
    assert losses(cut) == losses(whole)
    assert len(losses(whole)) == STEPS
    assert hashes[0] == hashes[1]


def test_two_processes_learn_what_one_does_in_twice_the_passes(home: Home, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", 52)  # 16 of them liked: whole batches for both
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"persona: guard\ndataset: {data}\nmodel: {home.served.file}\nthreads: 1\nlr: 1e-2\n"
        "max_steps: 6\nlog_steps: 1\nbatch_size: 4\ndevice: cpu\n"
    )
    command = ["train", "sft", str(recipe), "--json", "--output_dir"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "townsfolk.cli"]
    subprocess.run([*launch, *command, str(tmp_path / "two")], check=True, env=os.environ, timeout=500)
    alone = [*command, str(tmp_path / "one"), "--g_accum", "2"]
    CliRunner().invoke(app, alone, catch_exceptions=False)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)


def test_a_folder_is_one_run(home: Home, parent: Path, tmp_path: Path) -> None:
    rows = rows_of(home.rows)
    with pytest.raises(ConfigError, match="finished"):
        sft.run(config_for(home.served, home.folder, output_dir=parent), home.served, rows, quiet=True)
    begun = config_for(home.served, tmp_path)
    begun.output_dir.mkdir()
    (begun.output_dir / "settings.json").write_text(json.dumps(begun.flat()))
    with pytest.raises(ConfigError, match=r"lr 0\.01 -> 0\.5"):
        sft.run(begun.model_copy(update={"lr": 0.5}), home.served, rows, quiet=True)


def test_cloning_leans_towards_what_was_rewarded(home: Home, tmp_path: Path) -> None:
    """Of two replies to one prompt, that of the reward 1 becomes the likelier."""
    good, bad = home.rows[0].reply, home.rows[1].reply
    assert good != bad
    pair = [
        replace(home.rows[0], reply=reply, weight=1.0, reward=r) for reply, r in ((good, 1.0), (bad, -1.0))
    ]
    config = BcConfig(**config_for(home.served, tmp_path, max_steps=30, batch_size=2).model_dump())
    bc.run(config, home.served, Rows(pair, pair, "0" * 64), quiet=True)
    adapted, _ = base.load_adapted(home.served, config.model_copy(update={"parent": str(tmp_path / "run")}))
    prompt = pair[0].prompt
    with torch.no_grad():
        scores = [
            torch.log_softmax(adapted(input_ids=torch.tensor([prompt + reply])).logits[0], -1)[
                torch.arange(len(prompt) - 1, len(prompt) + len(reply) - 1), torch.tensor(reply)
            ].sum()
            for reply in (good, bad)
        ]
    assert scores[0] > scores[1] + 1


def test_weights_of_cloning_are_one_on_average(home: Home) -> None:
    rows = [replace(row, weight=1.0) for row in home.rows]
    weighed = bc.weigh(rows, temperature=0.5)
    assert np.isclose(np.mean([row.weight for row in weighed]), 1)
    order = np.argsort([row.reward or 0 for row in rows])
    assert np.all(np.diff([weighed[i].weight for i in order]) >= 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "settings", [{"use_8bit": True}, {"use_fp16": True, "dtype": "auto"}, {"device": "cuda"}], ids=str
)
def test_what_needs_a_gpu_is_refused_without_one(
    home: Home, tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match="GPU"):
        base.load_base(home.served, config_for(home.served, tmp_path, **settings))


@pytest.mark.parametrize(
    ("flags", "fast"), [("avx2 fma", False), ("avx2 avx512_bf16", True), ("asimd bf16 i8mm", True)]
)
def test_bfloat16_is_taken_where_the_processor_multiplies_in_it(
    tmp_path: Path, flags: str, fast: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t: fpu {flags} sse\n")
    assert base.cpu_has_bfloat16(tmp_path / "cpuinfo") == fast
