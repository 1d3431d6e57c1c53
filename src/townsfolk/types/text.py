"""What several stages must do alike with texts: tell words apart, fill in names, say what is wrong."""

import re

from pydantic import ValidationError


def words(text: str) -> list[str]:
    """Lower-case words, plurals and apostrophes taken off."""
    plain = re.sub(r"['’]", "", text.lower())
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") else word
        for word in re.findall(r"[a-z0-9]+", plain)
    ]


def fill(text: str, **values: str) -> str:
    """`text` of a file with `{name}` and the like replaced; other braces stay as they are."""
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def faults_told(error: ValidationError) -> list[str]:
    """Each fault of a message as `field: rule`; the rule alone where it is one of the whole."""
    return [
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"]))) for fault in error.errors()
    ]
