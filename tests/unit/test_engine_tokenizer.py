"""Text <-> tokens: control tokens in text are plain text, no half characters come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLTokenizer

from tiny_model import CONTROL_TOKENS, write_tiny_model
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.tokenizer import ModelTokenizer
from townsfolk.errors import ModelError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ModelTokenizer:
    return ModelTokenizer(
        read_gguf(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")).metadata
    )


def test_control_tokens_in_text_are_plain_text(tokenizer: ModelTokenizer) -> None:
    for name, index in tokenizer.special.items():
        ids = tokenizer.encode(f"a{name}b {name}")
        assert index not in ids
        assert tokenizer.decode(ids) == f"a{name}b {name}"
    assert tuple(tokenizer.special) == CONTROL_TOKENS


def test_merges_are_used(tokenizer: ModelTokenizer) -> None:
    assert [tokenizer.token_bytes(i) for i in tokenizer.encode("hello ting")] == [b"hello", b" t", b"ing"]


@given(text=st.text())
def test_decode_undoes_encode(tokenizer: ModelTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.special.values())


@given(text=st.text())
def test_detokenizer_gives_whole_characters(tokenizer: ModelTokenizer, text: str) -> None:
    stream = tokenizer.detokenizer()
    pieces = [stream.add([token]) for token in tokenizer.encode(text)]
    assert "".join(pieces) + stream.end() == text
    assert all("�" not in piece for piece in pieces) or "�" in text


def test_detokenizer_tells_of_a_character_cut_short(tokenizer: ModelTokenizer) -> None:
    stream = tokenizer.detokenizer()
    assert stream.add(tokenizer.encode("ü")[:1]) == ""
    assert stream.end() == "�"


def test_llguidance_reads_it(tokenizer: ModelTokenizer) -> None:
    grammar_side = LLTokenizer(tokenizer.to_json(), n_vocab=tokenizer.vocab_size, eos_token=tokenizer.eos_id)
    assert grammar_side.vocab_size == tokenizer.vocab_size
    assert grammar_side.tokenize_str("hello") == tokenizer.encode("hello")


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(ModelError, match="'llama'"):
        ModelTokenizer({"tokenizer.ggml.model": "llama"})
