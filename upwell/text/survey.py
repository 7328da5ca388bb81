"""What only a whole file shows: mixed layouts, roles that do not take turns, answers that are no spans.

    survey = Survey()
    for document in documents: survey.see(document)
    survey.notes()          # sentences; nothing is refused or left out for them

Several processes survey a part each: summary() is plain JSON, and join(summary) of the parts in their order gives what
one survey of all would have seen.

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
        self._remarks: dict[str, dict[str, list]] = {}

    def see(self, found: Document, layout: str = "") -> None:
        """One document; its layout where the caller knows it, else its task is taken."""
        file, _, line = found.source.rpartition(":")
        if not (file and line.isdigit()):
            return
        task = layout or (found.fields["task"] if found.fields else "plain")
        _count(self._tasks, file, task, 1, found.source)
        for odd, what, _ in REMARKS if found.fields else ():
            if odd(found.fields):
                _count(self._remarks, file, what, 1, found.source)

    def summary(self) -> dict[str, dict]:
        """What was seen, as JSON knows it."""
        return {"tasks": self._tasks, "remarks": self._remarks}

    def join(self, summary: Mapping[str, Mapping]) -> None:
        """Take in what another survey saw of what follows."""
        for mine, theirs in ((self._tasks, summary["tasks"]), (self._remarks, summary["remarks"])):
            for file, counts in theirs.items():
                for name, (count, first) in counts.items():
                    _count(mine, file, name, count, first)

    def counts(self) -> dict[str, int]:
        """How many documents of each task or layout there are in all."""
        total: Counter = Counter()
        for tasks in self._tasks.values():
            total.update({task: count for task, (count, _) in tasks.items()})
        return dict(total)

    def notes(self) -> list[str]:
        """A sentence for each oddity of each file: how often, and where first."""
        mixed = [f"{file} mixes layouts: {_mixture(tasks)}" for file, tasks in self._tasks.items() if len(tasks) > 1]
        comments = {what: comment for _, what, comment in REMARKS}
        odd = [f"{file}: {what}: {count:,}, first {first}; {comments[what]}"
               for file, counts in self._remarks.items() for what, (count, first) in counts.items()]  # fmt: skip
        return mixed + odd


def _count(found: dict[str, dict[str, list]], file: str, name: str, count: int, first: str) -> None:
    found.setdefault(file, {}).setdefault(name, [0, first])[0] += count


def _mixture(tasks: Mapping[str, list]) -> str:
    usual = sorted(tasks.items(), key=lambda item: -item[1][0])
    return ", ".join(f"{count:,} {task} (first {first})" for task, (count, first) in usual)
