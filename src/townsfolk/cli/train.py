"""`townsfolk train`: a dataset -> an adapter.

Joins the rooms: the engine says what the base model is, the rehearsal writes the rows as they are served,
a stage learns from them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

import townsfolk
from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.config import default_home, load_settings
from townsfolk.errors import ConfigError

if TYPE_CHECKING:
    from townsfolk.agents.template import ChatTemplate
    from townsfolk.engine import ModelTokenizer
    from townsfolk.engine.model import Model
    from townsfolk.serving.rehearsal import Rehearsal
    from townsfolk.training.stages.config import RunConfig
    from townsfolk.training.stages.served import ServedBase
    from townsfolk.training.stages.tokens import Rows, TokenRow

WRITERS = (
    "agents",
    "engine",
    "interpreter",
    "personas",
    "serving/prompts.py",
    "serving/rehearsal.py",
    "types",
)
"""Code that decides a row's tokens."""


def train(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="sft, bc, reward, kto, dpo, grpo or ppo.")],
    recipe: Annotated[Path, typer.Argument(help="A YAML file; configs/ has one for each stage.")],
    settings: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Train an adapter. Settings of the recipe can be overridden: --key value."""
    from townsfolk.training.stages.config import CONFIGS, read_config
    from townsfolk.training.stages.run import is_main_process

    if stage not in CONFIGS:
        raise ConfigError(f"there is no stage {stage!r}: there are {', '.join(CONFIGS)}")
    config, learning = read_config(CONFIGS[stage], recipe, context.args), _stage(stage)
    served, rehearsal = open_base(config, settings)
    rows = token_rows(config, served, rehearsal)
    manifest = learning.run(config, served, rows, quiet=as_json)
    if not is_main_process():
        return
    told = f"adapter {manifest.adapter_hash[:12]} in {config.output_dir}"
    show(as_json, told, manifest.model_dump(mode="json"))


def _stage(name: str) -> ModuleType:
    try:
        return import_module(f"townsfolk.training.stages.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'townsfolk[train]'") from error


def open_base(config: "RunConfig", settings: Path | None = None) -> "tuple[ServedBase, Rehearsal]":
    """What is served of the base model, and who writes its prompts, by the file of `settings`."""
    from townsfolk.engine import open_model
    from townsfolk.serving.rehearsal import Rehearsal

    model = open_model(config.model)
    rehearsal = Rehearsal.on(model, load_settings(settings, engine={"model": config.model}))
    return served_base(config.model, model, rehearsal.tokenizer, rehearsal.template), rehearsal


def served_base(
    file: Path, model: "Model", tokenizer: "ModelTokenizer", template: "ChatTemplate"
) -> "ServedBase":
    """What the engine and the template say of the base model in `file`."""
    from townsfolk.engine import base_reference
    from townsfolk.training.stages.served import ServedBase

    return ServedBase(
        file=file,
        sha256=model.base_hash,
        reference=base_reference(file.stem, model.base_hash),
        template_hash=template.content_hash,
        opening=reply_opening(template, frozenset(tokenizer.special.values())),
        encode=tokenizer.encode,
        decode=tokenizer.decode,
        check_adapter=lambda folder: _adapter_hash(folder, model),
    )


def _adapter_hash(folder: Path, model: "Model") -> str:
    from townsfolk.engine.adapters import read_adapter

    return read_adapter(folder, [folder], model.params, model.base_hash).content_hash


def reply_opening(template: "ChatTemplate", control: frozenset[int]) -> tuple[int, ...]:
    """Ids with which `template` opens a reply: from its last control token on."""
    ids = template.encode([("system", ""), ("user", "")])
    last = max(place for place, token in enumerate(ids) if token in control)
    return tuple(ids[last:])


def token_rows(config: "RunConfig", served: "ServedBase", rehearsal: "Rehearsal") -> "Rows":
    """The rows of the dataset that `config` asks for, as they are served."""
    from townsfolk.training.data.rows import HELD_OUT, TRAIN, read_manifest
    from townsfolk.training.stages.row_cache import cached_rows
    from townsfolk.training.stages.tokens import Rows

    learnt = sorted({*config.rows_of}) or [config.persona]
    dataset_hash = str(read_manifest(config.dataset).get("hash", ""))

    def read(name: str) -> "list[TokenRow]":
        file = config.dataset / name
        made_of = (",".join(learnt), _hash(file), served.sha256, rehearsal.fingerprint, _writers_hash())
        return cached_rows(
            default_home() / "cache" / "rows", made_of, lambda: _written(file, learnt, rehearsal)
        )

    return Rows(read(TRAIN), read(HELD_OUT), dataset_hash)


def _written(file: Path, personas: Sequence[str], rehearsal: "Rehearsal") -> "Iterator[TokenRow]":
    from townsfolk.training.data.rows import read_rows

    return (rehearsal.row(row) for row in read_rows(file) if row.persona in personas)


def _hash(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def _writers_hash() -> str:
    """Of the code and personas that write prompts: another version of them writes other rows."""
    package = Path(townsfolk.__file__).parent
    paths = (package / name for name in WRITERS)
    files = (file for path in paths for file in (path.rglob("*.*") if path.is_dir() else [path]))
    return _hash(*sorted(file for file in files if file.suffix in (".py", ".yaml")))
