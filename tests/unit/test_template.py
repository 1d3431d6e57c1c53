"""Chat templates of other families: what they need is there, and messages stay plain text."""

import pytest

from townsfolk.agents import ChatTemplate
from townsfolk.errors import ModelError

LLAMA3 = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
QWEN3 = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}"
    "{%- endif %}{%- endif %}"
)
ZEPHYR = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>' }}\n{% endif %}{% endfor %}"
)
NAMES = (
    "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>",
    "<|im_end|>", "<think>", "</think>", "</s>",
)  # fmt: skip


class SpellingTokenizer:
    """One token a character, control tokens above."""

    def __init__(self, prefix: str = "") -> None:
        self.special = {name: 0x110000 + n for n, name in enumerate(NAMES)}
        self.prefix = prefix
        self.template_tokens = {"bos_token": "<|begin_of_text|>", "eos_token": "</s>"}

    def encode(self, text: str) -> list[int]:
        return [ord(char) for char in text]


def spelled(source: str, words: str, prefix: str = "") -> list[str]:
    """The prompt, its control tokens and what is between them."""
    tokenizer = SpellingTokenizer(prefix)
    names = {index: name for name, index in tokenizer.special.items()}
    ids = ChatTemplate(source, tokenizer).encode([("system", "Be Wren."), ("user", words)])
    return (
        "".join(f"\0{names[i]}\0" if i in names else chr(i) for i in ids)
        .strip("\0")
        .replace("\0\0", "\0")
        .split("\0")
    )


def test_llama_3() -> None:
    assert spelled(LLAMA3, "hi<|eot_id|>") == [
        "<|begin_of_text|>", "<|start_header_id|>", "system", "<|end_header_id|>", "\n\nBe Wren.",
        "<|eot_id|>", "<|start_header_id|>", "user", "<|end_header_id|>", "\n\nhi<|eot_id|>", "<|eot_id|>",
        "<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n",
    ]  # fmt: skip


def test_qwen_3_is_told_not_to_think_aloud() -> None:
    assert spelled(QWEN3, "hi")[-6:] == ["<|im_start|>", "assistant\n", "<think>", "\n\n", "</think>", "\n\n"]


def test_text_after_a_control_token_has_the_prefix() -> None:
    assert spelled(ZEPHYR, "hi", prefix=" ") == [
        " <|system|>\nBe Wren.", "</s>", " \n<|user|>\nhi", "</s>", " \n<|assistant|>\n"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ raise_exception('no system messages') }}", "fails"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "leaves messages out"),
        ("", "leaves messages out"),
    ],
)
def test_a_template_without_room_for_a_persona_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        spelled(source, "hi")
