"""What only a whole file shows: mixed layouts, roles that do not take turns, answers that are no spans.

    survey = Survey()
    for document in documents: survey.see(document)
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
    """What is odd about a file though each of its examples is in order. Memory grows with the number of files."""

    def __init__(self):
        self._tasks: dict[str, dict[str, list]] = {}
        self._remarks: dict[tuple[str, str, str], list] = {}

    def see(self, found: Document, layout: str = "") -> None:
        """One document; its layout where the caller knows it, else its task is taken."""
        file, _, line = found.source.rpartition(":")
        if not (file and line.isdigit()):
            return
        task = layout or (found.fields["task"] if found.fields else "plain")
        self._tasks.setdefault(file, {}).setdefault(task, [0, found.source])[0] += 1
        for odd, what, comment in REMARKS if found.fields else ():
            if odd(found.fields):
                self._remarks.setdefault((file, what, comment), [0, found.source])[0] += 1

    def counts(self) -> dict[str, int]:
        """How many documents of each task or layout there are in all."""
        total: Counter = Counter()
        for tasks in self._tasks.values():
            total.update({task: count for task, (count, _) in tasks.items()})
        return dict(total)

    def notes(self) -> list[str]:
        """A sentence for each oddity of each file: how often, and where first."""
        mixed = [f"{file} mixes layouts: {_mixture(tasks)}" for file, tasks in self._tasks.items() if len(tasks) > 1]
        odd = [f"{file}: {what}: {count:,}, first {first}; {comment}"
               for (file, what, comment), (count, first) in self._remarks.items()]  # fmt: skip
        return mixed + odd


def _mixture(tasks: Mapping[str, list]) -> str:
    usual = sorted(tasks.items(), key=lambda item: -item[1][0])
    return ", ".join(f"{count:,} {task} (first {first})" for task, (count, first) in usual)
