"""What a fuzzer's bytes are tried on: files of strangers, each of which is served or refused, never worse.

A target gives its seeds and takes one input; it raises where a promise is broken. It knows no fuzzer.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from gguf import GGMLQuantizationType as Type

from tiny_model import write_random_adapter, write_sentence_pieces, write_tiny_model, write_vocabulary
from townsfolk.engine.adapters import CONFIG_FILE, WEIGHTS_FILE, Adapter, read_adapter
from townsfolk.engine.model import Model, open_model
from townsfolk.engine.native_runner import UNAVAILABLE, NativeRunner
from townsfolk.engine.onnx_runner import OnnxRunner
from townsfolk.engine.runner import RaggedBatch, Row, Runner
from townsfolk.engine.tokenizer import ModelTokenizer
from townsfolk.errors import AdapterError, ModelError

POSITIONS = 16
LAST_TENSOR, AFTER_NAME = b"blk.0.ffn_down.weight", 4 + 2 * 8 + 4 + 8
"""In a seed's header: behind a name come the number of sizes, the sizes, the type and where the data is."""
TAIL = bytes(range(1, 64)) * 2_048
"""Put after each header, so that one whose tensors are small finds their data."""


class Target(Protocol):
    """One kind of file."""

    def seeds(self) -> list[bytes]:
        """Whole files to begin with."""

    def words(self) -> list[str]:
        """What the format's readers look for."""

    def __call__(self, data: bytes) -> bool:
        """Try one file; whether it was served."""


class AdapterTarget:
    """An adapter's config and weights, a zero byte between them, read and laid out for a tiny base model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "adapter"
        self._model = open_model(write_tiny_model(folder / "base.gguf", layers=1))
        self._runner = _runner(self._model)

    def seeds(self) -> list[bytes]:
        made, files = list[bytes](), (CONFIG_FILE, WEIGHTS_FILE)
        kinds: list[dict[str, Any]] = [{"rank": 1}, {"use_rslora": True}, {"alora_invocation_tokens": [1, 2]}]
        for kind in kinds:
            base, params = self._model.base_hash, self._model.params
            write_random_adapter(self._folder, params, base, targets=("q_proj", "down_proj"), **kind)
            made.append(b"\0".join((self._folder / name).read_bytes() for name in files))
        return made

    def words(self) -> list[str]:
        config = json.loads(self.seeds()[-1].partition(b"\0")[0])
        header = ("dtype", "shape", "data_offsets", "__metadata__", "F16", "F32", "BF16", "F64", "lora_A")
        return [*config, *header, "layers.0.self_attn.q_proj", "null", "true", "NaN", "Infinity", "1e999"]

    def __call__(self, data: bytes) -> bool:
        config, _, weights = data.partition(b"\0")
        self._folder.mkdir(exist_ok=True)
        (self._folder / CONFIG_FILE).write_bytes(config)
        (self._folder / WEIGHTS_FILE).write_bytes(weights)
        try:
            adapter = read_adapter(
                self._folder, [self._folder.parent], self._model.params, self._model.base_hash
            )
        except AdapterError:
            return False
        self._serve(adapter)
        return True

    def _serve(self, adapter: Adapter) -> None:
        assert 1 <= adapter.rank <= 256
        assert np.isfinite(adapter.scaling)
        assert all(np.isfinite(half).all() for pair in adapter.factors.values() for half in pair)
        self._runner.set_adapters([self._runner.lay_out(adapter)])
        assert self._runner.forward(RaggedBatch([_row(adapter=0)])).shape == (1, self._model.params.vocab)


class GgufTarget:
    """A base model's header with data behind it, opened, its vocabulary read, and run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "model.gguf"

    def seeds(self) -> list[bytes]:
        path = self._folder / "seed.gguf"
        kinds = (
            (Type.Q4_1, write_sentence_pieces),
            (Type.F16, write_vocabulary),
            (Type.Q8_0, write_vocabulary),
        )
        return [
            _header(write_tiny_model(path, layers=1, kind=kind, vocabulary=vocabulary))
            for kind, vocabulary in kinds
        ]

    def words(self) -> list[str]:
        families = ["llama", "qwen2", "qwen3", "gpt2"]
        return [*families, "general.alignment", "rope.scaling.type", "linear", "expert_count", "<0x0A>", "▁"]

    def __call__(self, data: bytes) -> bool:
        self._path.unlink(missing_ok=True)  # a model of an earlier round may still be mapped
        self._path.write_bytes(data + TAIL)
        try:
            model = open_model(self._path)
            ModelTokenizer(model.metadata)
            assert _runner(model).forward(RaggedBatch([_row()])).shape == (1, model.params.vocab)
        except ModelError:
            return False
        return True


TARGETS: dict[str, Callable[[Path], Target]] = {"adapter": AdapterTarget, "gguf": GgufTarget}


def _runner(model: Model) -> Runner:
    kind = OnnxRunner if UNAVAILABLE else NativeRunner
    return kind(model, threads=1, kv_slots=POSITIONS, max_positions=POSITIONS)


def _row(adapter: int = -1) -> Row:
    return Row(np.array([5, 6, 7], np.int32), np.arange(3, dtype=np.int32), adapter=adapter)


def _header(path: Path) -> bytes:
    """A file up to its tensors' data."""
    data = path.read_bytes()
    return data[: data.index(LAST_TENSOR) + len(LAST_TENSOR) + AFTER_NAME]
