"""The base model's own chat template and room -> who writes the prompts."""

from townsfolk.agents import ChatTemplate, PromptBuilder
from townsfolk.config import Settings
from townsfolk.engine import ModelTokenizer
from townsfolk.errors import ModelError
from townsfolk.interpreter import defuse


def prompt_builder(tokenizer: ModelTokenizer, context: int, settings: Settings) -> PromptBuilder:
    """The builder for a base model that takes `context` tokens.

    Raises:
        ModelError: the model carries no chat template, or one that can't be compiled.
    """
    if not tokenizer.chat_template:
        raise ModelError(f"{settings.engine.model} carries no chat template: use an instruction-tuned model")
    room = min(settings.engine.max_context, context) - settings.agents.max_reply_tokens - 1
    return PromptBuilder(ChatTemplate(tokenizer.chat_template, tokenizer), room, defuse)
