"""Ask the documents of an index; the answer cites where it stands.

The answer is in the documents' own words: what a span model finds in a passage (--reader, see `upwell recipe span`),
else the sentence that fits best. With a chat model (--writer FOLDER, or --base-url URL --model NAME) it is written, and
what does not stand in the passages is left out. No model that writes Chinese comes with upwell: a written Chinese
answer needs --base-url or a model of your own.
Where the documents do not say it, that is the answer: "Not in the documents". The confidence from which on there is an
answer comes from questions of known answers; --calibrate FILE finds it for your own index from JSON lines with
"question" and "answerable" (true or false), at least 20 of each, and keeps it beside the index.
Several questions come by standard input, one a line. On a terminal, without a question, you ask one after the other,
and a question may lean on those before it ("How high is it?"); Ctrl-D ends, /clear begins anew.

Examples:
    upwell ask "How long is the guarantee?"
    upwell ask "How long is the guarantee?" --index manuals --reader runs/answers --json
    upwell ask "How long is the guarantee?" --writer smollm2-135m
    upwell ask --index manuals --collection sales < questions.txt
    upwell ask --index manuals --calibrate questions.jsonl
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import CheckpointError, DataError, SettingsError, UpwellError
from upwell.verbs._models import How, Which, model_folder, open_backend, open_folder
from upwell.verbs._shelf import CROSS, READER, headed
from upwell.verbs._typing import at_terminal, in_pipe, next_turn

NONE = "none"
AROUND = 160  # characters around a cited span that are shown, to each side


@dataclass(frozen=True)
class Settings(How):
    """What is asked, of which documents, and with which models."""

    questions: Positional[tuple[str, ...]] = ()
    """Questions; without any they are typed, or come by standard input."""
    index: Path = Path("index")
    """The folder that `upwell index` wrote."""
    encoder: str = ""
    """The model that gave the index its vectors, or none to search by words alone; default: the index's own."""
    encoder_url: str | None = None
    """The server that gives the vectors, of an index that was made with --base-url."""
    cross: Path | None = None
    """A model that reads question and passage together and says whether it answers (upwell recipe rerank)."""
    reader: Path | None = None
    """A model that finds the answer in a passage: a folder with a span head."""
    writer: Path | None = None
    """A chat model that writes the answer from the passages: a folder, or the name of one that was fetched."""
    style: Literal["auto", "extractive", "written"] = "auto"
    """The documents' own words, or those of the writer; auto: written where there is a writer."""
    collection: tuple[str, ...] = ()
    """Collections of the index that are searched; default: all."""
    k: int = 8
    """Passages that are looked for."""
    threshold: float | None = None
    """The confidence, 0 to 1, below which nothing is answered; default: the calibrated one."""
    calibrate: Path | None = None
    """JSON lines of questions; finds the threshold of this index, its interval and the whole curve."""
    json: bool = False
    """One JSON object a question, on a line."""
    api_key: str | None = None
    """The key of the server, or servers, that are named; default: the environment variable UPWELL_API_KEY."""

    def __post_init__(self):
        super().__post_init__()
        if self.writer is not None and self.base_url is not None:
            raise SettingsError(f"found both --writer {self.writer} and --base-url, expected one of them")
        if not 1 <= self.k <= 100 or self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SettingsError(f"k is {self.k} and threshold {self.threshold}; expected k from 1 to 100 and a "
                                "threshold from 0 to 1")  # fmt: skip
        if self.style == "written" and self.writer is None and self.base_url is None:
            raise SettingsError("--style written needs a model that writes: --writer FOLDER, or --base-url and --model")
        if self.calibrate is not None and self.questions:
            raise SettingsError("found questions beside --calibrate, expected one of them")


def main(settings: Settings) -> None:
    known = None if settings.calibrate is None else list(known_questions(settings.calibrate))
    live = not settings.questions and known is None and sys.stdin is not None and sys.stdin.isatty()
    if not settings.questions and known is None and sys.stdin is None:
        raise SettingsError("nothing to ask; name a question, or give some by standard input")
    with ExitStack() as held:
        asker = opened(settings, held)
        if known is not None:
            calibrate(settings, asker, known)
        elif live and sys.stdout.isatty():
            Talk(settings, asker).run()
        else:
            for number, question in enumerate(asked(settings)):
                if number and not settings.json:
                    print()
                show(settings, asker, answered(settings, asker, question))


def answered(settings: Settings, asker, question: str, history: tuple = ()):
    """The answer to one question."""
    return asker.ask(question, history, settings.collection or None)


def asked(settings: Settings) -> Iterator[str]:
    """The questions that were named, or those of standard input, one a line; empty lines are passed over."""
    if settings.questions:
        yield from settings.questions
        return
    lines = in_pipe(sys.stdin.buffer)
    while (line := lines("")) is not None:
        if line.strip():
            yield line.strip()


# ---- models ----


def opened(settings: Settings, held: ExitStack):
    """What answers: the index and its models, which `held` puts away."""
    from upwell.answering import asking, calibration
    from upwell.answering.index import Index
    from upwell.answering.search import Searcher

    with Index.open(settings.index) as index:
        there, named = set(index.collections()), index.encoder_name
        wanted = settings.encoder or index.encoder_place or NONE
    missing = sorted(set(settings.collection) - there)
    if missing:
        raise DataError(f"{settings.index} has no collection {', '.join(missing)}; it has "
                        f"{', '.join(sorted(filter(None, there))) or 'none with a name'}")  # fmt: skip
    encoder = None if wanted == NONE else encoder_of(settings, wanted, held)
    index = held.enter_context(Index.open(settings.index, encoder=encoder))
    reader = None if settings.reader is None else headed(local(settings, settings.reader, held), *READER)
    cross = None if settings.cross is None else headed(local(settings, settings.cross, held), *CROSS)
    how = asking.Settings(k=settings.k, style=settings.style, threshold=settings.threshold)
    searcher, writer = Searcher(index, encoder, cross), writer_of(settings, held)
    damaged = calibration.of(None, named) if settings.calibrate is not None else None  # what is there is made anew
    asker = asking.Asker(searcher, reader, writer, how, damaged)
    if settings.calibrate is None:
        tell(asker, "" if encoder is None else named)
    return asker


def encoder_of(settings: Settings, wanted: str, held: ExitStack):
    """The model that gives a question its vector: on a server, or ours."""
    if settings.encoder_url is None:
        try:
            return local(settings, Path(wanted), held)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or `--encoder none` searches by words alone, and --encoder-url names the "
                                  "server that the index was made with") from None  # fmt: skip
    backend = open_backend(Which(base_url=settings.encoder_url, model=wanted), settings.api_key).backend
    held.callback(backend.close)
    return backend


def local(settings: Settings, folder: Path, held: ExitStack, writes: bool = False):
    """Our engine on a model's folder; how it is held is the writer's to say, vectors come from weights as they are."""
    how = How(**{one.name: getattr(settings, one.name) for one in fields(How)})
    plain = {} if writes else {"adapter": (), "draft": None, "weights": "file", "deterministic": False}
    backend = open_folder(model_folder(folder), replace(how, base_url=None, model=None, **plain)).backend
    held.callback(backend.close)
    return backend


def writer_of(settings: Settings, held: ExitStack):
    """The model that writes; None without one."""
    if settings.writer is None and settings.base_url is None:
        return None
    if settings.base_url is not None:
        backend = open_backend(Which(base_url=settings.base_url, model=settings.model), settings.api_key).backend
        held.callback(backend.close)
        return backend
    backend = local(settings, settings.writer, held, writes=True)
    if backend.config.shape == "encoder" or backend.config.head.kind != "language":
        raise SettingsError(f"--writer: {backend.name} ({backend.config.kind}) writes no text; name a chat model")
    return backend


def tell(asker, named: str) -> None:
    """Where the threshold does not come from this encoder: that, and what to do."""
    if named and asker.settings.threshold is None and asker.calibration.encoder != named:
        terminal.note(f"No threshold is known for the encoder {named}: what is answered is decided by shared words "
                      "alone; --calibrate finds one.")  # fmt: skip


# ---- answers ----


def show(settings: Settings, asker, answer) -> None:
    """An answer with what it cites."""
    if settings.json:
        print(json.dumps(record(asker, answer), ensure_ascii=False), flush=True)
        return
    print(terminal.harmless(answer.text))
    for number, citation in enumerate(answer.citations, start=1):
        stored = asker.searcher.index.text(citation.document, settings.collection or None)
        print(f"\n  {number}  {terminal.harmless(place(citation))}")
        marked(*around(stored, citation.start, citation.end))
    sys.stdout.flush()


def record(asker, answer) -> dict:
    """An answer as JSON has it."""
    passages = [{name: getattr(hit, name) for name in ("score", "cosine", "lexical", "cross")} | asdict(hit.passage)
                for hit in answer.hits]  # fmt: skip
    return {"question": answer.question, "answer": answer.text, "refused": answer.refused, "how": answer.how,
            "confidence": round(answer.confidence, 4), "threshold": round(asker.threshold, 4),
            "citations": [asdict(one) for one in answer.citations], "passages": passages}  # fmt: skip


def place(citation) -> str:
    """Where a citation stands, for people."""
    parts = [citation.source, citation.heading, f"page {citation.page}" if citation.page else "",
             f"characters {citation.start:,} to {citation.end:,}"]  # fmt: skip
    return ", ".join(part for part in parts if part)


def around(text: str, start: int, end: int) -> tuple[str, str, str]:
    """What stands before a span, it, and what stands behind it: the sentences around it, or a part of them."""
    from upwell.answering.spans import sentences

    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    places = [(first + a, first + b) for a, b in sentences(text[first:last])]
    touched = [(a, b) for a, b in places if a < end and b > start] or [(start, end)]
    begin, stop = min(start, touched[0][0]), max(end, touched[-1][1])
    return text[begin:start], text[start:end], text[end:stop]


def marked(before: str, span: str, behind: str) -> None:
    """A span in its sentence: in colour on a terminal that has some, else between « and »."""
    from rich.console import Console
    from rich.text import Text

    before, span, behind = (" ".join(f"|{terminal.harmless(one)}|".split())[1:-1] for one in (before, span, behind))
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if console.is_terminal and not console.no_color:
        console.print(Text.assemble("     ", before, (span, "bold black on yellow"), behind))
    else:
        print(f"     {before}«{span}»{behind}")


class Talk:
    """Questions one after the other on a terminal, each with those before it."""

    def __init__(self, settings: Settings, asker):
        self.settings, self.asker, self.history = settings, asker, []
        self.lines = at_terminal(("/clear", "/quit"))

    def run(self) -> None:
        """Answer until there are no more questions; mistakes are told, and it goes on."""
        from upwell.cli import sentence

        terminal.say(f"{self.settings.index}: ask, and press Enter. Ctrl-D ends, /clear begins anew.")
        going = True
        while going:
            try:
                going = self.turn()
            except KeyboardInterrupt:
                print()
            except (UpwellError, OSError) as error:
                terminal.fail(sentence(error))

    def turn(self) -> bool:
        """One question; False where it was the last."""
        turn = next_turn(self.lines)
        if turn is None or turn.command and turn.text.startswith("/q"):
            return False
        if turn.command:
            self.history = []
        elif turn.text:
            answer = answered(self.settings, self.asker, turn.text, tuple(self.history))
            show(self.settings, self.asker, answer)
            if answer.question != turn.text:
                terminal.note(f"understood as: {answer.question}")
            said = "" if answer.refused else answer.text
            self.history += [{"role": "user", "content": turn.text}, {"role": "assistant", "content": said}]
            self.history = self.history[-20:]
        return True


# ---- calibration ----


def known_questions(path: Path) -> Iterator[tuple[str, bool]]:
    """(question, whether the documents answer it) of each line. DataError lists every line that says neither."""
    wrong, found = [], []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no UTF-8; convert the file first") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            question, answerable = said["question"], said["answerable"]
            if not (isinstance(question, str) and question.strip() and isinstance(answerable, bool)):
                raise TypeError
            found.append((question, answerable))
        except (ValueError, TypeError, KeyError, RecursionError):
            wrong.append(f'{path}:{number}: expected {{"question": "...", "answerable": true or false}}, found '
                         f"{line[:60]}")  # fmt: skip
    if wrong:
        raise DataError("\n".join(wrong[:20] + ([f"... and {len(wrong) - 20} more"] if len(wrong) > 20 else [])))
    yield from found


def calibrate(settings: Settings, asker, known: list[tuple[str, bool]]) -> None:
    """Find the threshold from these questions, keep it beside the index, and show it."""
    from upwell.answering import calibration

    found: dict[bool, list] = {True: [], False: []}
    with terminal.Progress("questions", len(known)) as bar:
        for number, (question, answerable) in enumerate(known, start=1):
            try:
                found[answerable].append(asker.shown(question, settings.collection or None))
            except DataError as error:
                raise DataError(f"{settings.calibrate}, question {number:,}: {error}") from None
            bar.update(number)
    named = asker.searcher.index.encoder_name if asker.searcher.encoder is not None else ""
    reader, cross = "" if asker.reader is None else asker.reader.name, asker.searcher.cross_name
    counts = f"{len(found[True]):,} questions with and {len(found[False]):,} without an answer"
    made = f"{counts}, of {settings.calibrate.name}"
    how, limit = calibration.fitted(found[True], found[False], named or "", reader, cross, made)
    path = how.save(settings.index)
    if settings.json:
        said = asdict(how) | {"reached": limit.reached, "curve": limit.curve}
        print(json.dumps(said, ensure_ascii=False), flush=True)
        return
    rows = [(f"{one.threshold:.2f}", f"{one.refused:.1%}", f"{one.false_refusals:.1%}") for one in limit.curve[::5]]
    terminal.table("What a threshold refuses", ("threshold", "of those without an answer", "of those with one"), rows)
    terminal.say(f"The threshold is {limit.value:.3f}: it refuses {limit.refused} of the questions without an answer "
                 f"and {limit.false_refusals} of those with one. {path} keeps it.")  # fmt: skip
    if not limit.reached:
        terminal.warn("No threshold refuses 95 % of the ones and at most 5 % of the others; look at the curve, and "
                      "name the one that you want with --threshold.")  # fmt: skip
