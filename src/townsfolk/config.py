"""Settings: one frozen object, from a YAML file, the environment and flags, every fault at once.

Precedence: flags over `TOWNSFOLK_*` variables (`TOWNSFOLK_HTTP__PORT=8123`) over the YAML file over
the defaults here. Nothing else in the package reads the environment.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from townsfolk.errors import ConfigError

HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which `~` is the user's home."""
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/*\s]+$")]
"""Where a web page comes from: scheme, host and port. No `*`: every page of the world is none of ours."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHORTEST_TOKEN = 16
SECRET = {"api_token", "url"}
"""Settings whose values are told nobody; a database's URL has its password."""


def default_home() -> Path:
    """Where models, adapters and the database live unless a setting says otherwise."""
    return Path.home() / ".townsfolk"


def shipped(name: str) -> Path:
    """The folder `configs` or `data`: beside the modules of an installed package, atop a checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parents[1] / name


def address(host: str, port: int | None) -> str:
    """`host:port` as URLs and gRPC have it: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HttpSettings(Section):
    """Where games and programs connect over HTTP."""

    host: str = "127.0.0.1"
    """Anything but a loopback address needs a token (`townsfolk tokens add`, or `api_token`)."""
    port: int = Field(default=8123, ge=0, le=65_535)
    """0: any free port."""
    max_body_bytes: int = Field(default=1_000_000, ge=1_000, le=100_000_000)
    """Larger bodies are refused."""
    max_concurrent: int = Field(default=128, ge=1, le=10_000)
    """Calls in progress at once; further ones are answered with "busy"."""
    body_timeout_s: float = Field(default=10, gt=0, le=600)
    """Time for a request's body to arrive."""
    request_timeout_s: float = Field(default=150, gt=0, le=3_600)
    """Calls are dropped after this time, whatever their own deadline."""
    admin_port: int | None = Field(default=None, ge=0, le=65_535)
    """Serve adapters, `/metrics` and the console on this port only; unset: on the port for games, too."""
    admin_host: str = "127.0.0.1"
    """The address of `admin_port`."""
    cors_origins: tuple[Origin, ...] = ()
    """Origins whose web pages may call the service, such as `https://map.example.org`; none by default."""


class GrpcSettings(Section):
    """The same over gRPC."""

    enabled: bool = True
    """Whether to serve gRPC."""
    host: str = "127.0.0.1"
    """Anything but a loopback address needs a token (`townsfolk tokens add`, or `api_token`)."""
    port: int = Field(default=50_051, ge=0, le=65_535)
    """0: any free port."""
    max_message_bytes: int = Field(default=1_000_000, ge=1_000, le=100_000_000)
    """Larger messages are refused."""
    max_concurrent: int = Field(default=128, ge=1, le=10_000)
    """Calls in progress at once."""
    request_timeout_s: float = Field(default=150, gt=0, le=3_600)
    """Calls are dropped after this time, whatever their own deadline."""


class TlsSettings(Section):
    """Encryption of HTTP and gRPC. Without it, put a proxy that encrypts in front of the service."""

    certificate: HomePath | None = None
    """A PEM file with the certificate, followed by those that sign it."""
    key: HomePath | None = None
    """A PEM file with its private key, without a passphrase."""

    @model_validator(mode="after")
    def _both_or_none(self) -> "TlsSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key go together: set both, or neither")
        return self


class LimitSettings(Section):
    """Rate limits per game and player. Calls beyond them are refused and told when to retry."""

    game_calls_per_second: float = Field(default=50, gt=0, le=100_000)
    """Per game, or per token if a call names no game; bursts of up to ten seconds' worth are allowed."""
    player_calls_per_minute: float = Field(default=120, gt=0, le=100_000)
    """Messages, ratings and demonstrations per player; bursts of up to a minute's worth are allowed."""


class EngineSettings(Section):
    """The base model and how it runs."""

    model: HomePath = Field(
        default_factory=lambda: default_home() / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    )
    """A GGUF file of the llama, qwen2 or qwen3 family."""
    runner: Literal["auto", "native", "onnx"] = "auto"
    """What multiplies the matrices; auto: the fastest available."""
    threads: int = Field(default=0, ge=0, le=256)
    """0: one less than there are cores, but at least one, so that the game keeps a core."""
    max_batch_rows: int = Field(default=32, ge=1, le=256)
    """Villagers served by one pass."""
    max_prefill_tokens: int = Field(default=128, ge=8, le=4_096)
    """New tokens per pass in total; longer prompts are prefilled in chunks."""
    kv_tokens: int = Field(default=8_192, ge=512, le=1_000_000)
    """Tokens in the KV cache, for all villagers together."""
    kv_bits: int = Field(default=16, ge=8, le=16, multiple_of=8)
    """Bits per number in the KV cache. 8 takes 0.56 times the memory, and needs the native runner."""
    max_context: int = Field(default=1_024, ge=128, le=8_192)
    """Tokens of a villager's prompt and reply together."""
    max_queue: int = Field(default=64, ge=1, le=10_000)
    """Requests that may wait; further ones are answered with "busy"."""
    adapter_slots: int = Field(default=32, ge=1, le=256)
    """Different adapters in one pass; others wait for the next pass."""


class AgentSettings(Section):
    """How villagers take their turns."""

    max_reply_tokens: int = Field(default=48, ge=8, le=512)
    """Tokens of a reply, including its tag."""
    context_windows: int = Field(default=32, ge=1, le=256)
    """How many turns of a villager are remembered word for word (a ring buffer)."""
    turn_timeout_ms: int = Field(default=10_000, ge=100, le=120_000)
    """A reply is dropped if by then it is not finished, or the game has not fetched its first part."""
    decision_timeout_ms: int = Field(default=5_000, ge=100, le=120_000)
    """The same for decisions without words, which go stale sooner than a player stops waiting."""
    game_timeout_s: float = Field(default=60, ge=5, le=86_400)
    """A game is dropped after so long without a call, with its turns and its villagers' cached state."""
    best_of: int = Field(default=1, ge=1, le=8)
    """Replies drawn for each one that is said. Above 1, `reward_model` picks the best."""
    reward_model: HomePath | None = None
    """The folder of a reward model's adapter."""

    @model_validator(mode="after")
    def _somebody_picks(self) -> "AgentSettings":
        if self.best_of > 1 and self.reward_model is None:
            raise ValueError(
                f"best_of is {self.best_of}, but nobody picks one: set agents.reward_model to adapter/ of a "
                "run of `townsfolk train reward`, or best_of to 1"
            )
        return self


class StoreSettings(Section):
    """Where everything that happens is stored."""

    url: str = Field(default_factory=lambda: f"sqlite:///{default_home() / 'townsfolk.db'}")
    """An SQLAlchemy URL: `sqlite:///…` or `postgresql+psycopg://…` (extra `postgres`)."""
    spool_dir: HomePath = Field(default_factory=lambda: default_home() / "spool")
    """Rows on their way to the database; they survive a crash."""
    spool_max_bytes: int = Field(default=512_000_000, ge=1_000_000)
    """Space for rows that the database has not taken yet; once it is full, writes are refused."""
    keep_days: int = Field(default=0, ge=0, le=36_500)
    """Days to keep turns and what followed from them; 0: forever. Turns with open flags are kept."""
    behaviour_log: HomePath = Field(default_factory=lambda: default_home() / "behaviour.jsonl")
    """A JSON line for every proposed and executed action; rotated."""


class PolicySettings(Section):
    """What villagers may do."""

    freeze_seconds: float = Field(default=5, ge=0, le=3_600)
    """How long a villager that broke a rule is frozen."""
    rules: HomePath | None = None
    """The rules file: who may do what, where and how often. Unset: the shipped one."""
    audit_seconds: float = Field(default=60, gt=0, le=86_400)
    """How often `townsfolk audit --follow` checks."""


class PromotionSettings(Section):
    """How a new version of an adapter goes live, and when it is rolled back."""

    registry_dir: HomePath = Field(default_factory=lambda: default_home() / "registry")
    """Where versions of adapters are kept, and which of them serve."""
    keep_changes: int = Field(default=1_000, ge=10, le=100_000)
    """Changes kept in the registry's history; of older ones only the last trial of each version stays."""
    keep_versions: int = Field(default=20, ge=1, le=10_000)
    """Versions kept of each persona; older ones are deleted, but never what serves, nor the one before it."""
    canary_share: float = Field(default=1, gt=0, le=1)
    """Share of the villagers served with a version on trial; always the same villagers."""
    trial_turns: int = Field(default=200, ge=0, le=100_000)
    """Length of a trial, in answers to players; 0: no trial, promoted versions are live at once."""
    trial_least: int = Field(default=20, ge=5, le=1_000)
    """Rated (or given) answers before a version may be rolled back automatically."""
    trial_alpha: float = Field(default=0.05, gt=0, lt=1)
    """How likely it may be that an equally good version is rolled back by chance."""
    gate_margin: float = Field(default=0.02, ge=0, le=1)
    """How much worse a figure may get beyond one standard error; 0.01 is one percentage point."""
    gate_max_kl: float = Field(default=1.0, gt=0)
    """How far a candidate may be from its parent, in nats per token."""
    gate_max_slowdown: float = Field(default=1.25, ge=1)
    """How many times as long as before a turn may take."""
    gate_least_rated: int = Field(default=50, ge=1)
    """Rated turns that a candidate must have been trained on."""
    gate_least_win_rate: float = Field(default=0.55, ge=0.5, le=1)
    """Share of held-out contexts on which the reward model must prefer the candidate's reply."""
    gate_alpha: float = Field(default=0.05, gt=0, lt=1)
    """How likely it may be that the evidence for a candidate is chance."""
    watch_seconds: float = Field(default=10, gt=0, le=3_600)
    """How often trials and the registry are checked."""


class NightlySettings(Section):
    """How `townsfolk nightly` learns."""

    home: HomePath = Field(default_factory=lambda: default_home() / "nightly")
    """Where each night has a folder with its steps and its report."""
    keep: int = Field(default=7, ge=1)
    """How many nights to keep; older ones are deleted, with what players said in them, when one begins."""
    stage: Literal["kto", "ppo"] = "kto"
    """How a candidate learns: kto from thumbs, ppo from the reward model."""
    data: tuple[HomePath, ...] = ()
    """Folders of exchanges (`dialogue/PERSONA.yaml`), before ours: for personas of one's own."""
    recipes: HomePath | None = None
    """Folder of `reward.yaml`, `kto.yaml`, `ppo.yaml`; persona, data, parent are the night's. None: ours."""
    scenarios: int = Field(default=150, ge=1)
    """Scenarios of each suite on which a candidate and its predecessor are evaluated."""


class ConsoleSettings(Section):
    """The operator's pages, under `/console`."""

    enabled: bool = True
    """Whether to serve the console."""
    session_hours: float = Field(default=8, gt=0, le=168)
    """Hours after which an operator has to log in again."""
    token_file: HomePath = Field(default_factory=lambda: default_home() / "console.token")
    """The token for the console of a service without tokens; created at start, readable by its owner only."""
    reports_dir: HomePath = Field(default_factory=lambda: default_home() / "reports")
    """Where the console looks for evaluations: `townsfolk eval --json FOLDER/NAME.json`."""


class TelemetrySettings(Section):
    """OpenTelemetry traces (extra `telemetry`), from a game's step through the engine to the reply."""

    otlp_endpoint: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Where to send them, by OTLP over HTTP: `http://127.0.0.1:4318`; empty: nowhere."""
    share: float = Field(default=1, gt=0, le=1)
    """Share of the traces to keep."""


class Settings(BaseSettings):
    """All settings of the service. `extra` keys are refused, so that a typo is told."""

    model_config = SettingsConfigDict(
        env_prefix="TOWNSFOLK_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    tls: TlsSettings = TlsSettings()
    limits: LimitSettings = LimitSettings()
    engine: EngineSettings = Field(default_factory=EngineSettings)
    agents: AgentSettings = AgentSettings()
    store: StoreSettings = Field(default_factory=StoreSettings)
    policy: PolicySettings = PolicySettings()
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    nightly: NightlySettings = Field(default_factory=NightlySettings)
    telemetry: TelemetrySettings = TelemetrySettings()
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
    personas_dirs: tuple[HomePath, ...] = ()
    """Folders with further personas; a later folder overrides personas of the same name in earlier ones."""
    adapters_dirs: tuple[HomePath, ...] = ()
    """Folders that `Adapters.Load` may read from, besides the personas' own."""
    pinned_personas: tuple[str, ...] = ()
    """Personas whose adapters always keep a slot; others share the rest of `engine.adapter_slots`."""
    default_persona: str = "explorer"
    """Stands in for unknown personas."""
    api_token: SecretStr = SecretStr("")
    """A token with all scopes, for all games; callers send it as `Authorization: Bearer …`."""
    tokens_file: HomePath = Field(default_factory=lambda: default_home() / "tokens.json")
    """The tokens of `townsfolk tokens`; changes apply at once. Without tokens: anybody, on loopback only."""
    memory_limit_mb: int = Field(default=0, ge=0)
    """Limit of the process. Near it, adapters are dropped, then caches, then turns refused; 0: no limit."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level to log, to standard error."""
    log_format: Literal["text", "json"] = "text"
    """text for people, or json: one object per line, with trace ids."""

    @model_validator(mode="after")
    def _token_off_loopback(self) -> "Settings":
        exposed, length = self.exposed_hosts(), len(self.api_token.get_secret_value())
        enough = length >= SHORTEST_TOKEN or (not length and self.tokens_file.is_file())
        if exposed and not enough:
            raise ValueError(
                f"host {exposed[0]!r} is reachable from other machines, which needs a token: `townsfolk "
                f"tokens add`, or TOWNSFOLK_API_TOKEN of at least {SHORTEST_TOKEN} characters; or use host "
                "127.0.0.1"
            )
        return self

    def exposed_hosts(self) -> list[str]:
        """The addresses of the service that other machines may reach."""
        grpc = [self.grpc.host] if self.grpc.enabled else []
        admin = [self.http.admin_host] if self.http.admin_port is not None else []
        return [host for host in (self.http.host, *grpc, *admin) if host not in LOOPBACK]

    @model_validator(mode="after")
    def _a_slot_stays_free(self) -> "Settings":
        if len(self.pinned_personas) >= self.engine.adapter_slots:
            raise ValueError(
                f"pinned_personas are {len(self.pinned_personas)}, which must be fewer than "
                f"engine.adapter_slots, {self.engine.adapter_slots}: pin fewer, or raise that"
            )
        return self


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Read settings from `file` (YAML), the environment and `overrides`.

    Raises:
        ConfigError: lists every fault, one a line, as `section.field: rule, value`.
    """
    values = _read_yaml(file) if file else {}

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    try:
        return Layered(**overrides)
    except SettingsError as error:
        raise ConfigError(
            f"{error}: in a variable a list is written as JSON: TOWNSFOLK_PERSONAS_DIRS='[\"/folder\"]'"
        ) from error
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}{_given(fault)}"
            for fault in error.errors()
        )
        raise ConfigError(f"{error.error_count()} wrong setting(s):\n{faults}") from error


def _given(fault: ErrorDetails) -> str:
    """What a setting was given, unless that is, or holds, what nobody may read in a log."""
    secret = isinstance(fault["input"], dict) or SECRET.intersection(map(str, fault["loc"]))
    return "" if secret else f" (got {fault['input']!r:.80})"


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"settings file {file}: can't be read: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"settings file {file}: must be a mapping of sections, got {type(values).__name__}")
    return values
