"""Answer customers from a file of questions and answers.

The file is CSV (columns question and answer, perhaps alternatives, id, language), JSON, Markdown (a heading and what
stands below it) or HTML (<dt>, <details>, headings). A question is answered where one entry fits surely and alone,
asked back where several are near, and handed over where none is. What was not answered is logged, personal data masked,
and --misses shows it with the entries that are missing. Without --ask you type; with --serve the same answers come by
HTTP, on the page's tab, and on your own site by one line: <script src="https://YOUR-SERVER/widget.js" defer></script>

Examples:
    upwell faq shop.csv --ask "Where is my parcel?"
    upwell faq shop.csv
    upwell faq shop.csv --check
    upwell faq shop.csv --misses
    cat questions.txt | upwell faq shop.md --encoder none --json
    upwell faq shop.csv --serve --port 8080 --widget-origins https://www.example.com --webhook https://example.com/hook
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError, SettingsError
from upwell.verbs import _faq
from upwell.verbs._faq import Counter, Customers
from upwell.verbs._models import How, open_folder
from upwell.verbs._typing import Turn, at_terminal, in_pipe, next_turn

SHOWN = 50  # misses, and pairs that are alike


@dataclass(frozen=True)
class Settings(Customers):
    """Which questions and answers, and what is done with them."""

    file: Positional[Path] = Path("faq.csv")
    """The file of questions and answers: .csv, .tsv, .json, .jsonl, .md, .txt or .html."""
    ask: tuple[str, ...] = ()
    """Questions, each for itself."""
    faq_encoder: Annotated[str, tyro.conf.arg(name="encoder")] = "auto"
    """The model that gives vectors to the questions: a folder, a fetched name, or none (words alone). auto: minilm-l6,
    where it was fetched."""
    faq_translator: Annotated[Path | None, tyro.conf.arg(name="translator")] = None
    """A model that translates questions in other languages into the FAQ's, as `upwell recipe translate-en-zh` makes."""
    faq_log: Annotated[Path | None, tyro.conf.arg(name="log")] = None
    """The log of questions that were not answered; default: beside the FAQ, its name with .misses.sqlite."""
    misses: bool = False
    """Show what was not answered, and the entries that are missing."""
    check: bool = False
    """Show entries that are too alike: what asks for one may get the other."""
    serve: bool = False
    """Serve it; what else there is to say: `upwell serve --faq FILE`."""
    host: str = "127.0.0.1"
    """With --serve: the address to listen at."""
    port: int = 8000
    """With --serve: the port."""
    api_key_file: Path | None = None
    """With --serve: a file with the owner's key, which visitors of --widget-origins do not need."""
    open: bool = False
    """With --serve: open the page in the browser."""
    json: bool = False
    """One JSON object an answer, miss or pair, on a line."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""

    def __post_init__(self):
        if sum((self.misses, self.check, self.serve, bool(self.ask))) > 1:
            raise SettingsError("found several of --ask, --misses, --check and --serve, expected one of them")
        _faq.check(self, True)


def main(settings: Settings) -> int | None:
    if settings.serve:
        return served(settings)
    counter = Counter(settings, settings.file, _faq.read(settings.file))
    held = []

    def opened(folder: Path):
        from upwell.verbs._models import model_folder

        held.append(open_folder(model_folder(folder), How(device=settings.device)).backend)
        return held[-1]

    try:
        service = counter.open(opened)
        work = alike if settings.check else missing if settings.misses else ask if settings.ask else talk
        work(settings, service)
    finally:
        counter.close()
        for backend in held:
            backend.close()
    return None


def served(settings: Settings) -> int:
    """`upwell serve --faq`, with what was said here."""
    from upwell.verbs import serve

    shared = {one.name: getattr(settings, one.name) for one in fields(Customers)}
    own = {name: getattr(settings, name) for name in ("host", "port", "api_key_file", "open", "device")}
    return serve.main(serve.Settings(faq=settings.file, **shared, **own))


# ---- questions ----


def ask(settings: Settings, service) -> None:
    """Questions that were named, each for itself."""
    for question in settings.ask:
        show(settings, question, service.ask(question))


def talk(settings: Settings, service) -> None:
    """A conversation on a terminal; by standard input a question a line, each for itself."""
    typed = sys.stdin is not None and sys.stdin.isatty()
    if typed:
        terminal.say(f"{len(service.matcher.entries):,} entries. Ask; Ctrl-D ends, /clear begins anew.")
    conversation = None
    for turn in turns(typed):
        if turn.command and turn.text == "/clear":
            conversation = None
        elif turn.text.strip():
            try:
                reply = service.ask(turn.text, conversation)
            except DataError as error:
                if not typed:
                    raise
                terminal.warn(str(error))
                continue
            conversation = reply.conversation if typed else None
            show(settings, turn.text, reply)


def turns(typed: bool) -> Iterator[Turn]:
    """What is said, turn by turn; of a pipe its lines."""
    if sys.stdin is None:
        raise SettingsError("nothing to answer; expected --ask, or questions by standard input")
    lines = at_terminal(("/clear",)) if typed else in_pipe(sys.stdin.buffer)
    while (turn := next_turn(lines) if typed else whole(lines(""))) is not None:
        yield turn


def whole(line: str | None) -> Turn | None:
    """A line of a pipe, which is a question whatever stands in it."""
    return None if line is None else Turn(line)


def show(settings: Settings, question: str, reply) -> None:
    """One reply."""
    if settings.json:
        print(json.dumps({
            "question": question, "kind": reply.kind, "answer": reply.text, "entry": reply.entry and reply.entry.id,
            "options": [{"id": one.entry.id, "question": one.entry.question, "score": round(one.score, 4)}
                        for one in reply.options],
            "score": round(reply.score, 4), "margin": round(reply.margin, 4),
        }, ensure_ascii=False), flush=True)  # fmt: skip
        return
    print(reply.text, flush=True)
    for number, one in enumerate(reply.options, start=1):
        print(f"  {number}. {one.entry.question}", flush=True)
    if reply.kind != "greet":
        where = f" · {reply.entry.source}" if reply.entry is not None else ""
        terminal.note(f"{reply.kind.replace('_', ' ')} · score {reply.score:.2f} · margin {reply.margin:.2f}{where}")


# ---- for the owner ----


def missing(settings: Settings, service) -> None:
    """What was not answered, grouped and one by one."""
    from upwell.answering.faq_misses import suggestions

    found = service.misses.all()
    groups = suggestions(found, service.matcher)
    if settings.json:
        for one in groups:
            record = one._asdict() | {"others": list(one.others), "entry": one.entry and one.entry.id}
            print(json.dumps({"kind": "suggestion", **record}, ensure_ascii=False), flush=True)
        for one in found:
            print(json.dumps({"kind": "miss", **one._asdict()}, ensure_ascii=False), flush=True)
        return
    if not found:
        terminal.say(f"{service.misses.path}: nothing was missed yet")
        return
    rows = [(one.count, one.question, near(one)) for one in groups[:SHOWN]]
    if rows:
        terminal.table("Asked several times: entries that are missing", ("times", "question", "what to do"), rows)
    rows = [(time.strftime("%Y-%m-%d %H:%M", time.localtime(one.time)), one.question, f"{one.score:.2f}", one.reason)
            for one in found[:SHOWN]]  # fmt: skip
    terminal.table(f"The last of {len(found):,} misses", ("when", "question", "score", "why"), rows)


def near(suggestion) -> str:
    """What an owner may do about a group."""
    if suggestion.entry is None:
        return "a new entry"
    return f"a new entry, or an alternative of: {suggestion.entry.question} ({suggestion.score:.2f})"


def alike(settings: Settings, service) -> None:
    """Entries whose question another entry would answer or be asked back for."""
    matcher = service.matcher
    found = []
    for number, entry in enumerate(matcher.entries):
        decision = matcher.without(number)
        if decision.kind != "hand_over":
            found.append((decision.score, entry, decision.others[0].entry))
    found.sort(key=lambda one: -one[0])
    if settings.json:
        for score, entry, other in found:
            pair = {"score": round(score, 4), "entry": entry.id, "other": other.id, "question": entry.question,
                    "other_question": other.question, "places": [entry.source, other.source]}  # fmt: skip
            print(json.dumps(pair, ensure_ascii=False), flush=True)
        return
    terminal.say(f"{len(matcher.entries):,} entries; {len(found):,} are near another one")
    rows = [(f"{score:.2f}", entry.question, other.question, entry.source) for score, entry, other in found[:SHOWN]]
    if rows:
        terminal.table("Were it not there, the question would go to the other one",
                       ("score", "question", "other", "place"), rows)  # fmt: skip
