"""A chat as plain text, for models that never learnt a chat template.

    System's words

    User: Hello
    Assistant:

It is plain: a user who writes "Assistant:" on a new line is read as the assistant. The text ends where the model
begins the next "User:".
"""

import json
from pathlib import Path

from ..errors import CheckpointError, DataError

NAMES = {"user": "User: ", "assistant": "Assistant: "}
STOPS = ("\nUser:",)


def render(messages: list[dict]) -> str:
    """[{"role": "system" | "user" | "assistant", "content": text}, ...] -> the text that the model goes on with."""
    if not messages:
        raise DataError("found no message, expected at least one with a role and a content")
    return "".join(_turn(number, message) for number, message in enumerate(messages)) + "Assistant:"


def _turn(number: int, message: dict) -> str:
    role, content = message.get("role"), message.get("content")
    if role not in ("system", *NAMES):
        raise DataError(f"message {number}: found the role {role!r}, expected system, user or assistant")
    if not isinstance(content, str):
        raise DataError(f"message {number}: found {type(content).__name__} as its content, expected a text")
    return f"{content}\n\n" if role == "system" else f"{NAMES[role]}{content}\n"


def check_plain(folder: Path | None) -> None:
    """CheckpointError for a folder with a chat template: plain turns would not be what its model has learnt."""
    if folder is not None and _has_template(Path(folder)):
        raise CheckpointError(f"{folder} has a chat template, and upwell does not render those yet; "
                              "give a plain prompt, in which the template is already written out")


def _has_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    if (folder / "chat_template.jinja").exists() or (folder / "chat_template.json").exists():
        return True
    return config.exists() and bool(json.loads(config.read_text(encoding="utf-8")).get("chat_template"))
