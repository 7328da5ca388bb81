"""Tiny folders that chat or only go on with a text, and what somebody types."""

import io

from tests.generation.tiny import tiny_model
from tests.text import chats
from upwell.model import hub
from upwell.text.chat import Template
from upwell.tokens.tokenizer import train


class Typed(io.TextIOWrapper):
    """Standard input that holds these bytes."""

    def __init__(self, data=b"", terminal=False):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def plain_folder(folder):
    """A model that never learnt a chat template."""
    tokenizer = train(["The river flows to the sea. 你好，世界。 😀"] * 10, 300)
    model = tiny_model(tokenizer.vocab_size, tied=True)
    return hub.save(hub.Checkpoint(model, tokenizer, model.config), folder)


def talking_folder(folder, context=128):
    """A model with a chat template."""
    tokenizer = chats.byte_level(folder)
    model = tiny_model(tokenizer.vocab_size, context)
    return hub.save(hub.Checkpoint(model, tokenizer, model.config, None, Template(chats.CHATML)), folder)
