"""A conversation: who said what, what is taken back, and its file. Knows no model and no terminal.

    talk = Conversation(system="Be kind.")
    messages = talk.asked("Hello")          # what the model is to read; nothing is kept yet
    talk.answered("Hello", "Hi!")           # now both are
    talk.save(path)                         # {"messages": [{"role": "user", "content": "Hello"}, ...]}
"""

import json
from pathlib import Path

from upwell.atomic import write_file
from upwell.errors import DataError, SettingsError
from upwell.text import chat

ROLES = ("system", "user", "assistant")


class Conversation:
    """Messages that user and assistant have said by turns, after the system's where there is one."""

    def __init__(self, system: str = ""):
        self.messages: list[dict] = []
        self.unanswered = ""
        """What was said and got no answer; `again` gives it once more."""
        self.system(system)

    def system(self, text: str) -> None:
        """Put the text that stands before all others; "" takes it away."""
        if self.messages and self.messages[0]["role"] == "system":
            self.messages.pop(0)
        if text:
            self.messages.insert(0, {"role": "system", "content": text})

    @property
    def turns(self) -> int:
        """Answers that were given."""
        return sum(message["role"] == "assistant" for message in self.messages)

    def asked(self, text: str) -> list[dict]:
        """The messages with this one, which is kept only when it is `answered`."""
        self.unanswered = text
        return [*self.messages, {"role": "user", "content": text}]

    def answered(self, said: str, answer: str) -> None:
        """Keep what was said and its answer."""
        self.unanswered = ""
        self.messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]

    def undo(self) -> str:
        """Take the last turn back; what the user said in it. SettingsError where there is none."""
        if not self.turns:
            raise SettingsError("/undo: nothing has been said yet")
        while self.messages.pop()["role"] != "assistant":
            pass
        return self.messages.pop()["content"] if self.messages and self.messages[-1]["role"] == "user" else ""

    def again(self) -> str:
        """What is to be asked once more: what got no answer, else what was said last, whose answer goes."""
        return self.unanswered or self._last()

    def _last(self) -> str:
        if not self.turns:
            raise SettingsError("/retry: nothing has been said yet")
        return self.undo()

    def clear(self) -> None:
        """Forget everything but the system's text."""
        self.messages = [message for message in self.messages[:1] if message["role"] == "system"]
        self.unanswered = ""

    def save(self, path: Path) -> None:
        """Write the messages as JSON. SettingsError where something else than a conversation stands there."""
        if path.exists():
            try:
                messages_of(path)
            except DataError:
                raise SettingsError(f"{path} is there already and is no conversation; name another file") from None
        said = json.dumps({"messages": self.messages}, ensure_ascii=False, indent=1)
        write_file(path, said.encode("utf-8", "replace") + b"\n")

    def load(self, path: Path) -> None:
        """Take a saved conversation in place of this one. DataError where it is none; then this one stays."""
        messages = messages_of(path)
        self.messages, self.unanswered = messages, ""
        if messages and messages[-1]["role"] == "user":
            self.unanswered = self.messages.pop()["content"]


def messages_of(path: Path) -> list[dict]:
    """The messages of a file: a list, or an object that holds it as `messages`. DataError where they are none."""
    try:
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{path}: found no JSON ({why}), expected a conversation that /save wrote") from None
    found = found.get("messages") if isinstance(found, dict) else found
    if found == []:
        return found
    try:
        chat.check(found, plain=True)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    for number, message in enumerate(found):
        if message["role"] not in (ROLES if number == 0 else ROLES[1:]):
            raise DataError(f"{path}: message {number}: found the role {message['role']!r}, expected user or assistant"
                            f"{', or system at the start' if number else ', or system'}")  # fmt: skip
    return [{"role": message["role"], "content": message["content"]} for message in found]
