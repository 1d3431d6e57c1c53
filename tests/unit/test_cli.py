"""The command line as a program sees it: JSON, one line per error, exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from townsfolk import basemodel


def townsfolk(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "townsfolk.cli", *arguments]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize("command", [[], ["serve"], ["models", "pull"], ["personas"], ["play"]], ids=" ".join)
def test_each_command_has_help_and_json(command: list[str], tmp_path: Path) -> None:
    done = townsfolk(*command, "--help", home=tmp_path)
    assert done.returncode == 0
    assert not command or "--json" in done.stdout


def test_personas_as_json(tmp_path: Path) -> None:
    done = townsfolk("personas", "--json", home=tmp_path)
    told = json.loads(done.stdout)
    assert {persona["name"] for persona in told["personas"]} >= {"explorer", "trader", "guard", "builder"}
    assert told["faults"] == {}


def test_brackets_in_a_persona_are_text(tmp_path: Path) -> None:
    for name, title in (("miller", "a miller [/of] none"), ("other", "[")):
        folder = tmp_path / "personas" / name
        folder.mkdir(parents=True)
        page = f"name: miller\ntitle: {title}\ntraits: [x]\nspeech: y\nactions: [wait]\n"
        (folder / "persona.yaml").write_text(page + "unasked: {punched: [wait], tick: [wait]}\n")
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"personas_dirs: ['{tmp_path / 'personas'}']\n")
    done = townsfolk("personas", "--config", str(settings), home=tmp_path)
    assert done.returncode == 0
    assert "[/of]" in done.stdout
    assert "left out other" in done.stderr


def test_wrong_setting_is_told_without_a_traceback(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("http: {port: 99999}\n")
    done = townsfolk("personas", "--config", str(settings), home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: 1 wrong setting(s):\n  http.port")


def test_serve_tells_no_address_that_it_does_not_serve(tmp_path: Path) -> None:
    done = townsfolk("serve", home=tmp_path)
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert done.stdout == ""


def test_play_without_a_model_is_one_line_and_makes_nothing(tmp_path: Path) -> None:
    world = tmp_path / "world"
    done = townsfolk("play", "--world", str(world), "--port", "0", home=tmp_path)
    assert done.returncode == 1
    path = tmp_path / ".townsfolk" / "models" / basemodel.FILE
    assert done.stderr.startswith(f"error: base model {path} is not there: run")
    assert done.stderr.count("\n") == 1
    assert not world.exists()


def test_train_without_its_packages_names_the_remedy(tmp_path: Path) -> None:
    recipe = tmp_path / "reward.yaml"
    recipe.write_text("{persona: guard, dataset: none, output_dir: none}")
    without = "import sys; sys.modules['torch'] = None; from townsfolk.cli import main; main()"
    command = [sys.executable, "-c", without, "train", "reward", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: training needs torch: pip install 'townsfolk[train]'\n",
    )
