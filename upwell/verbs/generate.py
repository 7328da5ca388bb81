"""Let a model write.

It goes on from --prompt, or from what comes by standard input; without either it writes a document from its start.
With --prompts FILE it answers a file of prompts, several at once: JSON lines with "prompt" or "messages" and, if you
like, "id" and settings of their own; or a text a line (.txt). The answers are JSON lines in the same order. With --out
a run that was stopped goes on where it was when the same command is given again.
A model whose folder has a chat template is spoken to in it, since it learnt to answer nothing else: the prompt is what
a user says. --raw goes on from the prompt as it stands, --chat speaks to a model without a template in plain turns.
A model with an encoder reads the prompt and writes a text about it: a translation, a summary, whatever it learnt.
The model is a folder (default: the newest run in runs/) or, with --base-url, one of any server that speaks OpenAI's
language. The text goes to standard output as it is written, everything else to standard error.

Examples:
    upwell generate --prompt "The river"
    upwell generate runs/first --n 3 --temperature 0.6 --max-new 100
    upwell generate runs/first --prompt "The river" --strategy beam --beams 4 --best 4
    upwell generate folders/chat-model --prompt "What is the capital of France?"
    upwell generate folders/chat-model --prompts questions.jsonl --out answers.jsonl --temperature 0
    echo "The river" | upwell generate --strategy greedy --json
    upwell generate --base-url http://127.0.0.1:8000/v1 --model first --prompt "The river"
"""

import json
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from upwell import terminal
from upwell.atomic import alone, said_plainly
from upwell.errors import SettingsError, UpwellError
from upwell.generation import settings as writing
from upwell.verbs import _prompts
from upwell.verbs._asking import Asked, Events, gathered, timings, together, writing_of
from upwell.verbs._models import Which, model_folder, open_backend

MOST_SAMPLES = 256


@dataclass(frozen=True)
class Settings(writing.Settings, Which):
    """How to write, and with which model."""

    prompt: str | None = None
    """The text to go on from; "" for a document from its start."""
    prompts: Path | None = None
    """A file of prompts: JSON lines, or a text a line in a .txt file."""
    out: Path | None = None
    """Where the answers to --prompts go; the same command goes on with it. Default: standard output."""
    rows: int = 16
    """How many texts are written at once."""
    chat: bool = False
    """The prompt is what a user says, also where the folder has no chat template, and for a server."""
    raw: bool = False
    """Go on from the prompt as it stands, also where the folder has a chat template."""
    n: int = 1
    """How many texts a prompt; each has a seed of its own, one more than the one before."""
    json: bool = False
    """One JSON object a text, on a line: text, tokens, log-probabilities, seed, timings."""
    api_key: str | None = None
    """The server's key; default: the environment variable UPWELL_API_KEY."""

    def __post_init__(self):
        writing.Settings.__post_init__(self)
        Which.__post_init__(self)
        for name, most in (("n", MOST_SAMPLES), ("rows", 1024)):
            if not 1 <= getattr(self, name) <= most:
                raise SettingsError(f"{name}: found {getattr(self, name)}, expected 1 to {most}")
        if self.chat and self.raw:
            raise SettingsError("found both --chat and --raw, expected one of them")
        if self.prompt is not None and self.prompts is not None:
            raise SettingsError("found both --prompt and --prompts, expected one of them")
        if self.out is not None and self.prompts is None:
            raise SettingsError("found --out without --prompts, whose answers it takes; a single text goes to standard "
                                "output, so write > FILE")  # fmt: skip


def main(settings: Settings) -> None:
    if settings.prompts is not None:
        answer_file(settings)
        return
    prompt = read_prompt(settings.prompt)
    first = secrets.randbelow(2**53) if settings.seed is None else settings.seed
    opened = open_backend(settings, settings.api_key, settings.rows)
    questions = [Asked(prompt, replace(writing_of(settings), seed=first + k), sample=k) for k in range(settings.n)]
    with speaking(opened.backend, questions, settings) as answers:
        for asked, events in answers:
            if settings.json:
                record = gathered(asked, opened.backend.name, events)
                print_json(record | {"timings": opened.seconds | record["timings"]})
            else:
                show(opened, asked, events, settings)


def read_prompt(given: str | None) -> str:
    """--prompt, else standard input where that is not a terminal, without its last line end."""
    if given is not None or sys.stdin is None or sys.stdin.isatty():
        return given or ""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise SettingsError(f"standard input: byte {error.start} is no UTF-8; convert the text first") from None


@contextmanager
def speaking(backend, questions: list[Asked], settings: Settings) -> Iterator[Iterator[tuple[Asked, Events]]]:
    """The questions' answers as they are written; at the end the model is put away."""
    answers = together(lambda asked: backend.generate(spoken(backend, asked.prompt, settings), asked.settings),
                       questions, min(settings.rows, len(questions)), 4 * settings.rows)  # fmt: skip
    try:
        yield answers
    finally:
        answers.close()
        backend.close()


def is_chat(backend, settings: Settings) -> bool:
    """Whether the prompt is what a user says: it was asked for, or the folder has a template that the model learnt."""
    learnt = settings.base_url is None and not backend.template.plain
    return settings.chat or (learnt and not settings.raw)


def spoken(backend, prompt: str | list[dict], settings: Settings) -> str | list[dict]:
    """The prompt as a chat where it is one; an empty one is none."""
    if not isinstance(prompt, str) or not prompt or not is_chat(backend, settings):
        return prompt
    return [{"role": "user", "content": prompt}]


# ---- one prompt ----


def show(opened, asked: Asked, events: Events, settings: Settings) -> None:
    """Print one text as it is written. On a terminal it stands behind what it goes on."""
    backend, live, seen, begun = opened.backend, sys.stdout.isatty(), [], False
    apart = is_chat(backend, settings) or getattr(backend, "has_source", False)
    try:
        for seconds, piece in events:
            if live and not begun and not apart:
                write(terminal.harmless(asked.prompt))
            begun = True
            write(terminal.harmless(piece.text) if live else piece.text)
            seen.append((seconds, piece))
    except (KeyboardInterrupt, UpwellError):
        if begun:
            write("\n")
        raise
    write("\n")
    for one in seen[-1][1].ranking[1:]:
        write((terminal.harmless(one.text) if live else one.text) + "\n")
    terminal.say(told(seen, opened.seconds) + f", seed {asked.settings.seed}, finish: {seen[-1][1].finish}")


def told(events: list, loading: dict[str, float]) -> str:
    """What writing a text took, in words."""
    usage, times = events[-1][1].usage, timings(events)
    parts = [f"loaded in {sum(loading.values()):.1f} s"] if loading else []
    parts += [f"first token after {times['first_token_seconds']:.2f} s"]
    if not usage:
        return ", ".join([*parts, f"{times['seconds']:.1f} s"])
    return ", ".join([*parts, f"{usage.new} tokens, {times['tokens_per_second']:.1f} tokens/s"])


def write(text: str) -> None:
    """Text to standard output, now."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_json(record: dict) -> None:
    """One line."""
    print(json.dumps(record, ensure_ascii=False), flush=True)


# ---- a file of prompts ----


def answer_file(settings: Settings) -> None:
    """Answer all prompts of a file, going on where an earlier run of the same command was stopped."""
    lines = _prompts.read(settings.prompts, writing_of(settings))
    if settings.out is None:
        answer_lines(lines, settings, {}, _prompts.Done(), print_json)
        return
    place = settings.out.absolute()
    with said_plainly(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with alone(place.with_name(f".{place.name}.lock")):
        if settings.base_url is None:
            settings = replace(settings, folder=model_folder(settings.folder))
        work = work_of(settings)
        done = _prompts.answered(settings.out, (_prompts.key(one, work) for one in questions_of(lines, settings)))
        total = len(lines) * settings.n
        if done.answers == total:
            terminal.say(f"{settings.out} holds all {total:,} answers.")
            return
        if done.answers:
            terminal.say(f"{settings.out} holds {done.answers:,} of {total:,} answers; going on.")
        with _prompts.Answers(settings.out, done) as file:
            try:
                answer_lines(lines, settings, work, done, file.add)
            except KeyboardInterrupt:
                kept = f"Stopped; {settings.out} keeps its answers, and the same command goes on."
                raise KeyboardInterrupt(kept) from None


def work_of(settings: Settings) -> dict:
    """What all answers share that could change them: the model, and how it is spoken to."""
    said = {name: str(getattr(settings, name)) for name in ("base_url", "model", "chat", "raw", "weights", "draft")}
    if settings.base_url is not None:
        return said
    files = sorted(settings.folder.glob("*.safetensors"))
    return said | {"files": [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]}


def questions_of(lines: list, settings: Settings, drawn: int = 0) -> Iterator[Asked]:
    """What is asked, in order."""
    return _prompts.asked(lines, writing_of(settings), settings.n, drawn)


def answer_lines(lines: list, settings: Settings, work: dict, done, add) -> None:
    """Open the model, look whether every prompt fits, and hand each answer to `add` as a record."""
    drawn, total = secrets.randbelow(2**53), len(lines) * settings.n
    opened = open_backend(settings, settings.api_key, settings.rows)
    backend, begin, new = opened.backend, time.perf_counter(), 0
    left = list(islice(questions_of(lines, settings, drawn), done.answers, None))
    if settings.base_url is None:
        check_fit(backend, left, settings)
    with speaking(backend, left, settings) as answers, terminal.Progress("answers", total, done.answers) as bar:
        for number, (asked, events) in enumerate(answers, start=done.answers + 1):
            try:
                record = gathered(asked, backend.name, events)
            except UpwellError as error:
                raise type(error)(f"{settings.prompts}:{asked.line}: {error}") from error
            key = {"key": _prompts.key(asked, work)} if work else {}
            own = {} if asked.id is None else {"id": asked.id}
            add(key | {"line": asked.line, "sample": asked.sample} | own | record)
            new += record["usage"]["new"] if record["usage"] else 0
            rate = new / (time.perf_counter() - begin)
            bar.update(number, {"tokens": f"{new:,}", "tokens/s": f"{rate:,.1f}"})
    seconds = time.perf_counter() - begin
    loading = f", loaded in {sum(opened.seconds.values()):.1f} s" if opened.seconds else ""
    terminal.say(f"{len(left):,} answers, {new:,} tokens in {seconds:.1f} s ({new / seconds:,.1f} tokens/s){loading}")


def check_fit(backend, questions: list[Asked], settings: Settings) -> None:
    """DataError lists every prompt that is too long for the model or that its chat template refuses."""
    from upwell.generation.session import check_prompts, check_sources

    def read(asked: Asked) -> None:
        ids = backend.read(spoken(backend, asked.prompt, settings))
        if backend.has_source:
            check_sources(backend.config, 1, [ids])
            ids = backend.start
        check_prompts([ids], backend.config.context, backend.config.vocab, asked.settings.max_new)

    try:
        _prompts.unfit(read, questions, settings.prompts)
    except UpwellError:
        backend.close()
        raise
