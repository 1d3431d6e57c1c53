"""Who they are: `<name>/persona.yaml`, and `<name>/adapter/` once trained. Four are shipped."""

from townsfolk.personas.library import PersonaLibrary, load_persona

__all__ = ["PersonaLibrary", "load_persona"]
