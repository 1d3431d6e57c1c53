"""Settings of a run: a recipe, overrides, the guide's flags, every fault at once. And launch files."""

from pathlib import Path

import pytest
import yaml

from townsfolk.cli.settings import render_recipes
from townsfolk.errors import ConfigError
from townsfolk.training.stages.config import CONFIGS, RunConfig, SftConfig, read_config
from townsfolk.training.stages.row_cache import cached_rows
from townsfolk.training.stages.tokens import TokenRow

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))
GUIDE = (
    "--model_name base.gguf --db_path data --output_dir out --run_name one --epochs 2 --batch_size 4 "
    "--g_accum 2 --lr 1e-4 --lora_rank 64 --lora_alpha 16 --lora_dropout 0.05 "
    "--target_modules q_proj v_proj --use_fp16"
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text("persona: guard\ndataset: data\noutput_dir: out\nlr: 1.0e-3\n")
    return file


def test_all_the_guides_flags_work(recipe: Path) -> None:
    config = read_config(SftConfig, recipe, GUIDE.split())
    assert (config.model, config.dataset, config.run_name) == (Path("base.gguf"), Path("data"), "one")
    assert (config.epochs, config.batch_size, config.g_accum, config.lr) == (2, 4, 2, 1e-4)
    assert (config.lora_rank, config.lora_alpha, config.lora_dropout) == (64, 16, 0.05)
    assert config.target_modules == ("q_proj", "v_proj")
    assert config.dtype == "float16"
    assert not config.use_8bit


def test_flags_come_before_the_file_in_each_spelling(recipe: Path) -> None:
    config = read_config(
        SftConfig, recipe, ["--lr=0.5", "--use-8bit", "--trackers", "wandb,mlflow", "--seed", "7"]
    )
    assert (config.lr, config.use_8bit, config.seed) == (0.5, True, 7)
    assert config.trackers == ("wandb", "mlflow")


@pytest.mark.parametrize("flag", ["--use_fp16", "--use_fp16=1", "--use_fp16=true", "--use-fp16=yes"])
def test_half_precision_by_each_word_for_yes(recipe: Path, flag: str) -> None:
    assert read_config(SftConfig, recipe, [flag]).dtype == "float16"


def test_words_of_the_command_line_are_read_by_their_settings_type(recipe: Path) -> None:
    told = ["--output_dir=/srv/town #1/run", "--run_name", "7", "--rows_of", "guard,trader", "--use_fp16=no"]
    config = read_config(SftConfig, recipe, told)
    assert (config.output_dir, config.run_name) == (Path("/srv/town #1/run"), "7")
    assert config.rows_of == ("guard", "trader")
    assert config.dtype == "auto"


@pytest.mark.parametrize("name", ["lr", "epochs", "batch_size"])
def test_yes_is_no_number(recipe: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: .*must be a number: --{name} NUMBER \(got True\)"):
        read_config(SftConfig, recipe, ["--use_8bit", f"--{name}", "--seed=7"])
    recipe.write_text(recipe.read_text().replace("lr: 1.0e-3", f"{name}: yes"))
    with pytest.raises(ConfigError, match=f"--{name} NUMBER"):
        read_config(SftConfig, recipe)


def test_a_flag_alone_is_no_name_either(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"run_name: .* string \(got True\)"):
        read_config(SftConfig, recipe, ["--run_name"])


def test_numbers_are_names_in_a_recipe_too(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "run_name: 7\n")
    assert read_config(SftConfig, recipe).run_name == "7"


def test_the_guides_lines_are_no_dataset_yet(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"townsfolk data import lines\.jsonl .* townsfolk data build"):
        read_config(SftConfig, recipe, ["--db_path", "lines.jsonl"])


def test_every_fault_is_told_at_once(recipe: Path) -> None:
    with pytest.raises(ConfigError) as told:
        read_config(
            SftConfig, recipe, ["--lr", "-1", "--learning", "2", "--target_modules", "x", "--persona", "A b"]
        )
    text = str(told.value)
    assert "4 wrong setting(s)" in text
    for part in ("lr:", "learning: no setting of sft", "target_modules.0:", "persona:"):
        assert part in text


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n"])
def test_a_recipe_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="recipe"):
        read_config(SftConfig, file)


def test_a_word_that_belongs_to_no_flag_is_told(recipe: Path) -> None:
    with pytest.raises(ConfigError, match="stands alone"):
        read_config(SftConfig, recipe, ["lr", "2"])


def test_two_types_exclude_each_other(recipe: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        read_config(SftConfig, recipe, ["--use_fp16", "--dtype", "float32"])


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_recipes_say_how_they_are_run_and_are_right(file: Path) -> None:
    stage = file.stem.partition("-")[0]
    launch = file.read_text().splitlines()[0]
    assert launch.endswith(f"townsfolk train {stage} configs/{file.name}")
    config = read_config(CONFIGS[stage], file)
    assert config.output_dir.parts[0] == "run"  # which git ignores


def test_each_setting_is_explained() -> None:
    kinds: list[type[RunConfig]] = [RunConfig, *CONFIGS.values()]
    for kind in kinds:
        for name, field in kind.model_fields.items():
            assert field.description, name


def test_the_page_of_recipes_is_true() -> None:
    page = ROOT / "docs" / "recipes.md"
    assert page.read_text(encoding="utf-8") == render_recipes(), (
        "write it anew: townsfolk settings --recipes > docs/recipes.md"
    )


def test_launch_files_are_what_accelerate_reads() -> None:
    config_args = pytest.importorskip("accelerate.commands.config.config_args")
    files = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))
    assert {file.stem for file in files} == {"multi_gpu", "fsdp", "deepspeed"}
    for file in files:
        kind = {"multi_gpu": "MULTI_GPU", "fsdp": "FSDP", "deepspeed": "DEEPSPEED"}[file.stem]
        read = config_args.load_config_from_file(str(file))
        assert read.distributed_type == kind
        assert file.read_text().startswith("# accelerate launch --config_file configs/accelerate/")
        assert yaml.safe_load(file.read_text())["mixed_precision"] == "no"


def test_rows_are_made_once_of_the_same(tmp_path: Path) -> None:
    row = TokenRow("a", "guard", "g", (1, 2), 1, (3,), (4,), 0.5, 2.0)
    made = []

    def make() -> list[TokenRow]:
        made.append(1)
        return [row]

    for made_of in (["data", "template"], ["data", "template"], ["data", "other"]):
        assert cached_rows(tmp_path, made_of, make) == [row]
    assert len(made) == 2


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_figures_reach_a_tracker_and_stay_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip("accelerate", reason="needs the train extra")
    pytest.importorskip(name, reason="needs the trackers extra")
    from townsfolk.training.stages.trackers import open_trackers

    for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    (tracker,) = open_trackers([name], "a-run", tmp_path, {"lr": 0.1})
    tracker.log({"loss": 2.5}, step=1)
    tracker.finish()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.stat().st_size for path in kept)
