"""Text <-> tokens: control tokens in text are plain text, no half characters come out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_model import CONTROL_TOKENS, write_tiny_model
from townsfolk.engine.gguf_file import read_gguf
from townsfolk.engine.tokenizer import ModelTokenizer
from townsfolk.engine.vocabulary import byte_alphabet
from townsfolk.errors import ModelError
from townsfolk.interpreter import GrammarCompiler


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
    assert [tokenizer.token_bytes[i] for i in tokenizer.encode("hello ting")] == [b"hello", b" t", b"ing"]


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


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(ModelError, match="'bert'; only gpt2, llama"):
        ModelTokenizer({"tokenizer.ggml.model": "bert"})


def byte_level(pre: str, *merges: str, eos: int = 0) -> ModelTokenizer:
    tokens = ["<end>", *byte_alphabet().values(), *(merge.replace(" ", "") for merge in merges)]
    return ModelTokenizer(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": np.array([3] + [1] * (len(tokens) - 1)),
            "tokenizer.ggml.merges": list(merges),
            "tokenizer.ggml.eos_token_id": eos,
        }
    )


def pieces(tokenizer: ModelTokenizer, text: str) -> list[str]:
    return [tokenizer.token_bytes[index].decode() for index in tokenizer.encode(text)]


@pytest.mark.parametrize(
    ("pre", "numbers", "words"),
    [
        ("gpt-2", ["1234"], ["I", "'", "M"]),
        ("smollm", ["1", "2", "3", "4"], ["I", "'", "M"]),
        ("llama-bpe", ["123", "4"], ["I", "'M"]),
        ("qwen2", ["1", "2", "3", "4"], ["I", "'M"]),
        ("default", ["123", "4"], ["I", "'", "M"]),
    ],
)
def test_text_is_cut_up_as_the_file_says(pre: str, numbers: list[str], words: list[str]) -> None:
    tokenizer = byte_level(pre, "1 2", "12 3", "123 4", "' M")
    assert pieces(tokenizer, "1234") == numbers
    assert pieces(tokenizer, "I'M") == words


def test_an_unknown_rule_of_cutting_text_up_is_refused() -> None:
    with pytest.raises(ModelError, match=r"pre 'poro'; only gpt-2, smollm, llama-bpe, qwen2, default"):
        byte_level("poro")


@pytest.fixture(scope="module")
def sentence_piece() -> ModelTokenizer:
    return ModelTokenizer(sentence_pieces())


def sentence_pieces() -> dict[str, object]:
    words = ["▁", "h", "e", "l", "o", "t", "▁t", "he", "ll", "hell", "hello", "▁hello", "▁the"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": -np.arange(len(tokens), dtype=np.float32),
        "tokenizer.ggml.token_type": np.array([2, 3, 3] + [6] * 256 + [1] * len(words)),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def test_sentence_piece(sentence_piece: ModelTokenizer) -> None:
    assert pieces(sentence_piece, "hello the x") == ["hello", " the", " ", "x"]
    assert sentence_piece.prefix == " "
    assert sentence_piece.template_tokens == {"bos_token": "<s>", "eos_token": "</s>"}


def test_only_byte_tokens_are_bytes(sentence_piece: ModelTokenizer) -> None:
    assert sentence_piece.token_bytes[3 + ord("a")] == b"a"
    assert sentence_piece.token_bytes[sentence_piece.vocab_size - 1] == b" the"


@pytest.mark.parametrize("name", ["tokenizer.ggml.add_space_prefix", "tokenizer.chat_template"])
def test_values_of_another_type_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} is .* must be a"):
        ModelTokenizer(sentence_pieces() | {name: np.array([1, 2])})


@given(text=st.text())
def test_sentence_piece_decode_undoes_encode(sentence_piece: ModelTokenizer, text: str) -> None:
    text = text.replace("▁", "_")
    ids = sentence_piece.encode(text + "</s>")
    assert sentence_piece.decode(ids) == text + "</s>"
    assert not set(ids) & {0, 1, 2}


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "qwen2", "default"])
def test_a_grammar_forces_the_tokens_that_text_has(pre: str) -> None:
    forced_as_encoded(byte_level(pre, "1 2", "12 3", "123 4", "' M"), "I'M 1234")


def test_a_grammar_forces_the_pieces_that_text_has(sentence_piece: ModelTokenizer) -> None:
    forced_as_encoded(sentence_piece, "hello the x, the ü")


def forced_as_encoded(tokenizer: ModelTokenizer, text: str) -> None:
    constraint = GrammarCompiler(tokenizer).constraint(f'start: "{text}"')
    assert constraint.forced() == tokenizer.encode(text)
    assert constraint.mask().shape == (-(-tokenizer.vocab_size // 32),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tokenizer.ggml.token_type": np.array([3, 1])}, "a number for each"),
        ({}, "no token <0x00>"),
        ({"tokenizer.ggml.tokens": ["a", "a", "b"]}, "token"),
        ({"tokenizer.ggml.tokens": 3}, "list of texts"),
        ({"tokenizer.ggml.tokens": ["a", "b", "c" * 1_001]}, "a token of 1,001 characters, must be at most"),
        ({"tokenizer.ggml.token_type": np.array([1, 6, 3])}, "token 'b' is of type byte, must be named like"),
        ({"tokenizer.ggml.scores": np.array([np.nan] * 3)}, "a number for each"),
    ],
)
def test_a_vocabulary_that_does_not_fit_together_is_refused(change: dict[str, object], reason: str) -> None:
    whole = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["a", "b", "c"],
        "tokenizer.ggml.token_type": np.array([1, 1, 3]),
        "tokenizer.ggml.scores": np.zeros(3),
        "tokenizer.ggml.eos_token_id": 2,
    }
    with pytest.raises(ModelError, match=reason):
        ModelTokenizer(whole | change)


def test_the_token_that_ends_a_text_must_be_there() -> None:
    with pytest.raises(ModelError, match="eos_token_id is 900"):
        byte_level("gpt-2", eos=900)
