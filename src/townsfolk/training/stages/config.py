"""What a run is told: a YAML file, overrides of the command line, every fault at once.

It refuses to know what a run does with it, and imports no torch: `townsfolk train --help` is there at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from townsfolk.config import EngineSettings, HomePath, shipped
from townsfolk.errors import ConfigError
from townsfolk.types import PersonaName
from townsfolk.types.manifest import Stage

ALIASES = {"model_name": "model", "db_path": "dataset"}
"""Names that people know from other trainers -> ours. The guide's other flags are our own names."""
Tracker = Literal["tensorboard", "wandb", "mlflow"]
Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class RunConfig(BaseModel):
    """Settings of all stages."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,  # YAML reads `run_name: 7` as a number
    )
    stage: ClassVar[Stage]

    persona: PersonaName
    """Who the adapter is for."""
    rows_of: tuple[PersonaName, ...] = ()
    """Personas to learn from; empty: just `persona`. Several make an adapter for theirs to continue from."""
    dataset: HomePath
    """A dataset's folder."""
    output_dir: HomePath
    """The run's folder; a run begun there with the same settings is resumed."""
    run_name: Annotated[str, StringConstraints(max_length=64)] = ""
    """The run's name in trackers; empty: the name of `output_dir`."""
    model: HomePath = Field(default_factory=lambda: EngineSettings().model)
    """The base model's GGUF file, the one that is served."""
    parent: str = ""
    """The folder of a run or an adapter to continue from; empty: the base model."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """The same seed gives the same adapter on the same machine."""
    epochs: float = Field(default=3, gt=0, le=1_000)
    """How often each row is seen."""
    max_steps: int = Field(default=0, ge=0)
    """Optimizer steps; 0: as many as `epochs` needs."""
    batch_size: int = Field(default=8, ge=1, le=1_024)
    """Rows per pass and process."""
    g_accum: int = Field(default=1, ge=1, le=1_024)
    """Passes whose gradients are accumulated into one step."""
    lr: float = Field(default=1e-3, gt=0, le=1)
    """The peak learning rate, reached after the warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Of AdamW."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""

    lora_rank: int = Field(default=8, ge=1, le=256)
    """Of a new adapter; one that is continued keeps its own rank."""
    lora_alpha: float = Field(default=16, gt=0, le=10_000)
    """Of a new adapter, whose output is scaled by alpha / rank."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs dropped in training."""
    target_modules: tuple[Target, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    """Linear layers that a new adapter modifies."""
    activated: bool = False
    """aLoRA: a new adapter only applies from the start of the reply; prompts stay the base model's."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the frozen base model; auto: bfloat16 if the processor computes in it, else float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one."""
    threads: int = Field(default=0, ge=0, le=256)
    """CPU threads; 0: as many as torch chooses, which on a busy machine is slower than 1."""
    use_8bit: bool = False
    """Keep the base model in 8 bits (bitsandbytes); needs a GPU."""
    use_fp16: bool = False
    """The same as `dtype: float16`, for GPUs without bfloat16."""

    log_steps: int = Field(default=5, ge=1)
    """Steps between two lines of the log."""
    save_steps: int = Field(default=50, ge=1)
    """Steps between two checkpoints."""
    eval_rows: int = Field(default=64, ge=0)
    """Held-out rows whose loss is measured after each epoch; 0: none."""
    trackers: tuple[Tracker, ...] = ()
    """Where to log besides log.jsonl; wandb stays offline unless WANDB_MODE says otherwise."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """`--lr` without a value would be 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"must be a number: --{info.field_name} NUMBER")
        return value

    @field_validator("dataset")
    @classmethod
    def _no_file_of_lines(cls, dataset: Path) -> Path:
        if dataset.suffix == ".jsonl":
            raise ValueError(
                f"must be a dataset's folder: townsfolk data import {dataset} ROWS --persona NAME, then "
                "townsfolk data build FOLDER --from ROWS"
            )
        return dataset

    @model_validator(mode="after")
    def _short_for_dtype(self) -> Self:
        if self.use_fp16:
            if self.dtype not in ("auto", "float16"):
                raise ValueError(f"use_fp16 and dtype {self.dtype} exclude each other: leave one out")
            object.__setattr__(self, "dtype", "float16")  # frozen only for those who have it from here
        return self

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.run_name or self.output_dir.name

    def flat(self) -> dict[str, str | int | float | bool | None]:
        """All settings as a manifest has them: plain values, lists joined by commas."""
        values = self.model_dump(mode="json")
        return {
            key: ",".join(map(str, value)) if isinstance(value, list) else value
            for key, value in values.items()
        }


class ImitationConfig(RunConfig):
    """What stages are told that imitate rows."""

    act_weight: float = Field(default=1, gt=0, le=100)
    """Weight of the tokens that decide on the action (the tag, or the first token of speech)."""


class SftConfig(ImitationConfig):
    """Supervised fine-tuning: rows to imitate."""

    stage: ClassVar[Stage] = "sft"


class BcConfig(ImitationConfig):
    """Behavioural cloning: demonstrations to imitate, the better rewarded the more."""

    stage: ClassVar[Stage] = "bc"
    temperature: float = Field(default=0.5, ge=0.01, le=10)
    """How much rewards matter: a row's weight is exp(reward / temperature), normalised to 1 on average."""


class RewardConfig(RunConfig):
    """A reward model, of rows that players judged."""

    stage: ClassVar[Stage] = "reward"


class KtoConfig(RunConfig):
    """Thumbs up and down."""

    stage: ClassVar[Stage] = "kto"
    beta: float = Field(default=0.1, gt=0, le=10)
    """The price of moving away from the parent adapter."""
    recalled: float = Field(default=2.0, ge=0, le=100)
    """Unjudged rows liked for each thumb, so that nothing is forgotten; a third turn hidden orders down."""
    desirable_weight: float = Field(default=2.0, gt=0, le=100)
    """What all thumbs up count together, where the rows that nobody judged count 1."""
    undesirable_weight: float = Field(default=0.75, gt=0, le=100)
    """The same of all thumbs down: what they push away takes the persona's voice with it."""


class DpoConfig(RunConfig):
    """Pairs of a better reply and a worse one."""

    stage: ClassVar[Stage] = "dpo"
    beta: float = Field(default=0.1, gt=0, le=10)
    """The price of moving away from the parent adapter."""


class SampledConfig(RunConfig):
    """Replies drawn during training, and rewards that are functions of their text."""

    replies: int = Field(default=4, ge=2, le=256)
    """Replies drawn for each prompt."""
    max_reply_tokens: int = Field(default=64, ge=2, le=1_024)
    """Longer replies are cut off."""
    temperature: float = Field(default=1.0, gt=0, le=10)
    """Sampling temperature."""
    well_formed: float = Field(default=1.0, ge=0, le=10)
    """Reward for a well-formed tag, or none."""
    right_action: float = Field(default=2.0, ge=0, le=10)
    """Reward for doing what the row's own reply does."""
    no_echo: float = Field(default=1.0, ge=0, le=10)
    """Reward for not repeating the player's words."""
    length: float = Field(default=0.5, ge=0, le=10)
    """Reward for saying something, in few words."""


class GrpoConfig(SampledConfig):
    """Rewards that are functions of a reply's text, compared within the replies to one prompt."""

    stage: ClassVar[Stage] = "grpo"
    beta: float = Field(default=0.04, ge=0, le=10)
    """The price of moving away from the parent adapter."""

    @model_validator(mode="after")
    def _whole_groups(self) -> "GrpoConfig":
        if self.batch_size % self.replies:
            raise ValueError(f"batch_size {self.batch_size} must be a multiple of replies {self.replies}")
        return self


class PpoConfig(SampledConfig):
    """PPO on sampled replies. A step is a round of sampling and learning."""

    stage: ClassVar[Stage] = "ppo"
    reward_model: str = ""
    """The folder of a `reward` run, whose rewards are added to those of the text; empty: none."""
    prompts: int = Field(default=4, ge=1, le=1_024)
    """Rows per step, to which replies are drawn."""
    no_end_penalty: float = Field(default=1.0, ge=0)
    """Subtracted from the reward of a reply that was cut off."""
    passes: int = Field(default=2, ge=1, le=64)
    """Passes over each step's replies."""
    value_lr: float = Field(default=1e-3, gt=0, le=1)
    """The learning rate of the value head."""
    clip: float = Field(default=0.2, gt=0, lt=1)
    """How far the probability ratio may move from 1 and still be rewarded."""
    value_clip: float = Field(default=0.2, gt=0)
    """How far a value may move from its old value in one step."""
    discount: float = Field(default=1.0, gt=0, le=1)
    """Gamma. Replies are short, so the last token counts in full for the first."""
    decay: float = Field(default=0.95, ge=0, le=1)
    """Lambda of GAE."""
    kl_start: float = Field(default=0.05, ge=0)
    """The initial coefficient of the penalty: how much reward a nat of distance from the parent costs."""
    kl_target: float = Field(default=4.0, gt=0)
    """The distance from the parent that the coefficient steers towards, in nats per reply."""
    kl_gain: float = Field(default=1.0, gt=0, le=5)
    """How fast it does: each step moves the coefficient by up to 20 % times the gain."""
    kl_limit: float = Field(default=10.0, gt=0)
    """The run stops above this distance, in nats per reply; the last policy below it is kept."""
    step_kl_limit: float = Field(default=0.1, gt=0)
    """A step stops learning this far from the policy that sampled, in nats per token."""
    distinct_floor: float = Field(default=0.5, ge=0, le=1)
    """The run stops if distinct-2 falls below this share of the parent's."""


CONFIGS: Mapping[str, type[RunConfig]] = {
    kind.stage: kind
    for kind in (SftConfig, BcConfig, RewardConfig, KtoConfig, DpoConfig, GrpoConfig, PpoConfig)
}
"""A stage's settings by its name; its module of the same name has `run(config, served, rows, quiet)`."""
Config = TypeVar("Config", bound=RunConfig)


def read_config(kind: type[Config], file: Path, arguments: Sequence[str] = ()) -> Config:
    """The settings of `file` with `arguments` (`--key value`, `--key=value`, `--flag`) over them.

    Raises:
        ConfigError: lists every fault, one a line.
    """
    values = _read_yaml(file)
    overrides = _overrides(kind, arguments)
    try:
        return kind.model_validate(values | overrides)
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc'])) or 'run'}: {_rule(kind, fault)}" for fault in error.errors()
        )
        raise ConfigError(f"{file}: {error.error_count()} wrong setting(s):\n{faults}") from error


def _rule(kind: type[RunConfig], fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return f"no setting of {kind.stage}; there are {', '.join(kind.model_fields)}"
    if fault["type"] == "missing":
        return "must be given"
    return f"{fault['msg']} (got {fault['input']!r:.80})"


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe {file}: can't be read: {error}; {shipped('configs')} has some") from error
    if not isinstance(values, dict):
        raise ConfigError(f"recipe {file}: must be a mapping of settings, got {type(values).__name__}")
    return {_named(str(key)): value for key, value in values.items()}


def _named(key: str) -> str:
    key = key.replace("-", "_")
    return ALIASES.get(key, key)


def _overrides(kind: type[RunConfig], arguments: Sequence[str]) -> dict[str, Any]:
    """What stands after a flag, as its setting's type wants it; a flag alone is true."""
    given: dict[str, list[str]] = {}
    key = ""
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            key = _named(name)
            given[key] = [value] if equals else []
        elif key:
            given[key].append(argument)
        else:
            raise ConfigError(f"{argument!r} stands alone: settings are given as --key value")
    return {key: _value(kind, key, words) for key, words in given.items()}


def _value(kind: type[RunConfig], key: str, words: list[str]) -> Any:
    """Words as they are: pydantic reads numbers from them, and a path may hold what YAML would drop."""
    if not words:
        return True
    field = kind.model_fields.get(key)
    if field and get_origin(field.annotation) is tuple:
        return [part for word in words for part in word.split(",") if part]
    return " ".join(words)
