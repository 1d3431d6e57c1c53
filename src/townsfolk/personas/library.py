"""Folders -> personas. One that can't be read is told with its reason; the others go on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from townsfolk.errors import ConfigError, UnknownName
from townsfolk.types import Persona, faults_told

SHIPPED = Path(__file__).parent
MAX_FILE_BYTES = 100_000


def load_persona(folder: Path) -> Persona:
    """The persona of `folder/persona.yaml`.

    Raises:
        ConfigError: lists every fault of the file.
    """
    file = folder / "persona.yaml"
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file}: over {MAX_FILE_BYTES:,} bytes; a persona is a page of text")
        persona = Persona.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{file}: {'; '.join(faults_told(error))}") from error
    if persona.name != folder.name:
        raise ConfigError(
            f"{file}: name is {persona.name!r} but the folder is {folder.name!r}: make them equal"
        )
    return persona


@dataclass(frozen=True)
class PersonaLibrary:
    """All personas that can be served, by name, and why others can't.

    Attributes:
        folders: where each persona lives; its adapter, if it has one, is in `adapter/` there.
        faults: folder name -> reason.
    """

    personas: Mapping[str, Persona]
    folders: Mapping[str, Path]
    faults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, extra_dirs: Iterable[Path] = ()) -> "PersonaLibrary":
        """The shipped personas and those of `extra_dirs`; a later folder replaces an earlier one's name.

        Raises:
            ConfigError: a folder of `extra_dirs` is not there.
        """
        personas: dict[str, Persona] = {}
        folders: dict[str, Path] = {}
        faults: dict[str, str] = {}
        for folder in (SHIPPED, *extra_dirs):
            for home in _persona_folders(folder):
                try:
                    personas[home.name], folders[home.name] = load_persona(home), home
                except ConfigError as error:
                    faults[home.name] = str(error)
        return cls(personas, folders, faults)

    def get(self, name: str) -> Persona:
        """Raises UnknownName, which lists those there are."""
        try:
            return self.personas[name]
        except KeyError:
            raise UnknownName(
                f"persona {name!r} is not known; there are {', '.join(sorted(self.personas))}"
            ) from None

    def adapter_folder(self, name: str) -> Path | None:
        """The persona's trained adapter, or None while it has none."""
        folder = self.folders[name] / "adapter"
        return folder if folder.is_dir() else None

    def adapter_for(self, name: str, base_hash: str) -> Path | None:
        """The same, to be served on a base model.

        One that is shipped is left out on another base than it was trained on: that is no fault to mend.
        """
        folder = self.adapter_folder(name)
        shipped = self.folders[name].parent == SHIPPED
        return None if folder and shipped and not _is_made_for(folder, base_hash) else folder


def _is_made_for(adapter: Path, base_hash: str) -> bool:
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        return str(config["base_model_name_or_path"]).endswith(base_hash)
    except (OSError, ValueError, KeyError, TypeError):
        return True  # whoever loads it says what is wrong


def _persona_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"personas folder {folder} is not there: make it, or take it out of personas_dirs")
    return sorted(file.parent for file in folder.glob("*/persona.yaml"))
