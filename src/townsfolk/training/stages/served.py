"""What the service says of the base model that a run trains on: nothing of it is worked out twice.

Rooms do not know each other, so whoever joins them (cli/) fills this in from the engine and the template.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from townsfolk.training.stages.tokens import Ids


@dataclass(frozen=True)
class ServedBase:
    """The base model as it is served.

    Attributes:
        file: its GGUF.
        sha256: of the file, hexadecimal.
        reference: what an adapter's `base_model_name_or_path` must be.
        template_hash: of its chat template, hexadecimal.
        opening: ids with which the template opens a reply; they activate an aLoRA.
        encode, decode: text to ids, none of them a control token; and ids to text.
        check_adapter: reads the adapter in a folder as the engine will, and gives its content hash; raises
            AdapterError.
    """

    file: Path
    sha256: str
    reference: str
    template_hash: str
    opening: Ids
    encode: Callable[[str], Sequence[int]]
    decode: Callable[[Sequence[int]], str]
    check_adapter: Callable[[Path], str]
