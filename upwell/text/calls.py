"""Calls of tools (functions) in a chat: as text that a model writes, and as the objects that programs exchange.

    forced(tools, "get_time")           the JSON Schema of a call that must come, for a grammar
    split = Split(tools)                a model's text, piece by piece -> what is said, and what is called
    flattened(messages, tools)          a chat with tools for a template that knows none

The form is that of Hermes, which Qwen, SmolLM and many more learnt: <tool_call>{"name": ..., "arguments": {...}}
</tool_call>, also with a list of such objects. What looks like a call and is none stays text. It knows no model.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

OPEN, CLOSE = "<tool_call>", "</tool_call>"
LONGEST = 100_000  # characters of a call, after which it is none


class Call(NamedTuple):
    """One call."""

    name: str
    arguments: str
    """A JSON object, as text."""


def names(tools: Sequence[dict]) -> list[str]:
    """What the tools are called."""
    return [tool["function"]["name"] for tool in tools]


def forced(tools: Sequence[dict], only: str | None = None) -> str:
    """The schema of a text that is one call of one of these tools, or of `only` that one."""
    chosen = [tool["function"] for tool in tools if only in (None, tool["function"]["name"])]
    kinds, shapes = [], {}
    for number, function in enumerate(chosen):
        place = f"tool{number}"
        shapes[place] = _moved(function.get("parameters") or {"type": "object"}, f"#/$defs/{place}")
        properties = {"name": {"const": function["name"]}, "arguments": {"$ref": f"#/$defs/{place}"}}
        kinds.append({"type": "object", "additionalProperties": False, "required": ["name", "arguments"],
                      "properties": properties})  # fmt: skip
    whole = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return json.dumps(whole | {"$defs": shapes}, ensure_ascii=False)


def _moved(schema, place: str):
    """A schema whose references to itself hold below `place`."""
    if isinstance(schema, dict):
        return {key: place + value[1:] if key == "$ref" and isinstance(value, str) and value.startswith("#")
                else _moved(value, place) for key, value in schema.items()}  # fmt: skip
    return [_moved(one, place) for one in schema] if isinstance(schema, list) else schema


class Split:
    """A model's text in pieces -> text to show, and calls. whole: the text is nothing but a call (see `forced`)."""

    def __init__(self, tools: Sequence[dict], whole: bool = False):
        self.known, self.whole, self.calls = set(names(tools)), whole, 0
        self._held, self._inside, self._space = "", whole, ""

    def push(self, piece: str) -> tuple[str, list[Call]]:
        """What of it is certain by now."""
        self._held += piece
        text, calls = "", []
        while not self.whole:
            mark = CLOSE if self._inside else OPEN
            at = self._held.find(mark)
            if at < 0:
                break
            before, self._held = self._held[:at], self._held[at + len(mark) :]
            if self._inside:
                found = self._read(before)
                calls += found
                text += "" if found else self._shown(OPEN + before + CLOSE)
            else:
                text += self._shown(before)
            self._inside = not self._inside
        if self._inside:
            if len(self._held) > LONGEST and not self.whole:
                text, self._held, self._inside = text + self._shown(OPEN + self._held), "", False
            return text, calls
        keep = _begun(self._held)
        certain, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return text + self._shown(certain), calls

    def _shown(self, text: str) -> str:
        """Text to show; white space between calls and behind the last is none."""
        if self.calls and not text.strip():
            self._space += text
            return ""
        text, self._space = self._space + text, ""
        return text

    def close(self) -> tuple[str, list[Call]]:
        """The rest: a call that was not closed counts where it is whole."""
        held, self._held = self._held, ""
        if not self._inside:
            return self._shown(held), []
        found = self._read(held)
        return ("", found) if found else (held if self.whole else self._shown(OPEN + held), [])

    def _read(self, text: str) -> list[Call]:
        """The calls of a text; none where it is no call of a tool that there is."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return []
        found = [_call(one, self.known) for one in (said if isinstance(said, list) else [said])]
        if not found or None in found:
            return []
        self.calls += len(found)
        return found


def _call(said, known: set[str]) -> Call | None:
    if not isinstance(said, dict) or said.get("name") not in known:
        return None
    arguments = said.get("arguments", said.get("parameters", {}))
    if isinstance(arguments, str):
        return Call(said["name"], arguments)
    return Call(said["name"], json.dumps(arguments, ensure_ascii=False)) if isinstance(arguments, dict) else None


def _begun(text: str) -> int:
    """How many characters at the end may be the beginning of OPEN."""
    return next((n for n in range(min(len(OPEN) - 1, len(text)), 0, -1) if OPEN.startswith(text[-n:])), 0)


# ---- chats ----


def flattened(messages: Sequence[dict], tools: Sequence[dict]) -> list[dict]:
    """A chat with tools in words that every template has: the tools are told first, calls and results are text."""
    said = [_plain(message) for message in messages]
    if not tools:
        return said
    told = (
        "You may call functions. To call one, answer with nothing but\n"
        f'{OPEN}{{"name": ..., "arguments": {{...}}}}{CLOSE}\nThese functions there are:\n'
    )
    told += "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    if said and said[0]["role"] == "system":
        return [{"role": "system", "content": f"{said[0]['content']}\n\n{told}"}, *said[1:]]
    return [{"role": "system", "content": told}, *said]


def _plain(message: dict) -> dict:
    """The message in plain words; one that has nothing to do with tools, or is none, as it is."""
    if not isinstance(message, dict) or message.get("role") != "tool" and not message.get("tool_calls"):
        return message
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>{message['content']}</tool_response>"}
    calls = [json.dumps({"name": call["function"]["name"], "arguments": call["function"]["arguments"]},
                        ensure_ascii=False) for call in message.get("tool_calls") or ()]  # fmt: skip
    content = "\n".join([*([message["content"]] if message.get("content") else []),
                         *(f"{OPEN}{call}{CLOSE}" for call in calls)])  # fmt: skip
    return {"role": message["role"], "content": content}
