"""Runs one target under atheris, for scripts/fuzz: `python -m fuzz NAME FOLDER [libFuzzer's options]`.

FOLDER keeps what is found: inputs that reach something new in `corpus`, what breaks a promise as `crash-*`.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["townsfolk.engine"], enable_loader_override=False):
    from fuzz.targets import TARGETS, Target


def main(name: str, folder: Path, *options: str) -> None:
    """Fuzz until an option of libFuzzer's (`-max_total_time=600`) or a broken promise ends it."""
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        target: Target = TARGETS[name](Path(scratch))
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words()))
        kept = (f"-dict={words}", f"-artifact_prefix={folder}/", *options, str(corpus))
        atheris.Setup([sys.argv[0], *kept], target)
        atheris.Fuzz()


def _escaped(word: str) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
