"""What only a whole file shows: mixed layouts, roles that do not take turns, answers that are no spans.

    survey = Survey()
    for document in documents: survey.see(document)         # in the order of the files
    survey.notes()          # sentences; nothing is refused or left out for them

Each example was in order by itself (see examples); these are things that a person should know before training.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from upwell.text import Document


def _twice(fields: Mapping[str, Any]) -> bool:
    roles = [message["role"] for message in fields.get("messages", ())]
    return any(one == other for one, other in zip(roles, roles[1:], strict=False))


def _begun_by_the_assistant(fields: Mapping[str, Any]) -> bool:
    roles = [message["role"] for message in fields.get("messages", ()) if message["role"] != "system"]
    return roles[:1] == ["assistant"]


def _left_open(fields: Mapping[str, Any]) -> bool:
    return fields["task"] == "chat" and fields["messages"][-1]["role"] != "assistant"


def _no_span(fields: Mapping[str, Any]) -> bool:
    return any(answer not in fields["context"] for answer in fields.get("answers", ()))


def _unanswered(fields: Mapping[str, Any]) -> bool:
    return fields["task"] == "answer" and not fields["answers"]


def _same(fields: Mapping[str, Any]) -> bool:
    return fields["task"] == "pair" and fields["source"].strip() == fields["target"].strip()


REMARKS = (
    (_twice, "chats in which a role speaks twice in a row", "they are kept; some chat templates refuse them"),
    (_begun_by_the_assistant, "chats that the assistant begins", "they are kept; some chat templates refuse them"),
    (_left_open, "chats whose last turn is not the assistant's", "that turn is only read"),
    (_no_span, "questions with an answer that does not stand in its context", "they are kept"),
    (_unanswered, "questions without an answer", "what is learnt is that the context does not tell"),
    (_same, "pairs that say the same on both sides", "they are kept"),
)


class Survey:
    """What is odd about a file though each of its examples is in order. Memory grows with the files that are odd."""

    def __init__(self):
        self.tasks: Counter = Counter()
        """Documents of each task, "plain" for text; those that are a whole file are not counted."""
        self._file, self._notes = "", []
        self._here: dict[str, list] = {}
        self._odd: dict[tuple[str, str], list] = {}

    def see(self, found: Document) -> None:
        """One document."""
        file, _, line = found.source.rpartition(":")
        if not (file and line.isdigit()):
            return
        if file != self._file:
            self._notes, self._file, self._here, self._odd = self.notes(), file, {}, {}
        task = found.fields["task"] if found.fields else "plain"
        self.tasks[task] += 1
        _count(self._here, task, found.source)
        for odd, what, comment in REMARKS if found.fields else ():
            if odd(found.fields):
                _count(self._odd, (what, comment), found.source)

    def notes(self) -> list[str]:
        """A sentence for each oddity of each file: how often, and where first."""
        mixed = [f"{self._file} mixes layouts: {_mixture(self._here)}"] if len(self._here) > 1 else []
        odd = [f"{self._file}: {what}: {count:,}, first {first}; {comment}"
               for (what, comment), (count, first) in self._odd.items()]  # fmt: skip
        return self._notes + mixed + odd


def _count(found: dict[Any, list], name: Any, source: str) -> None:
    found.setdefault(name, [0, source])[0] += 1


def _mixture(tasks: Mapping[str, list]) -> str:
    usual = sorted(tasks.items(), key=lambda item: -item[1][0])
    return ", ".join(f"{count:,} {task} (first {first})" for task, (count, first) in usual)
