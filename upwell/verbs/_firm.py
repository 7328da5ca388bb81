"""A firm's folder to a model that answers from it: what `upwell quickstart --from MODEL --corpus FOLDER` does.

    main(settings)        the stages one after the other; what is finished is kept in firm.json and not done again

clean · index · pairs · before · teach · after, in the run's folder: data (the cleaned text), index, questions.jsonl,
chats (what is learnt), model, firm.json (what every stage gave), answers.png. Each stage depends on those before it by
a key: other text, another model or other settings, and what follows is done again.
"""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from upwell import terminal
from upwell.atomic import alone, write_file
from upwell.errors import DataError, SettingsError

HELD_TEXT = 200_000  # bytes of text whose perplexity is measured before and after, about
HELD_SHARE = (0.05, 0.25)  # of the documents, at least and at most
AT_ONCE = 8  # documents that go into the index
LEAST = 20  # pairs to teach by
FERTILE = 1.3  # tokens of a Chinese character above which a model has hardly read any
NOT_TAUGHT = "not taught"
TITLES = {
    "clean": "1 of 6  Clean the text; personal data and repetitions out", "index": "2 of 6  Index it",
    "pairs": "3 of 6  Questions from the folder", "before": "4 of 6  Ask before",
    "teach": "5 of 6  Teach the model (LoRA)", "after": "6 of 6  Ask again",
}  # fmt: skip


def main(settings) -> int | None:
    from upwell.verbs.quickstart import Stopping

    with Stopping(), ExitStack() as held:
        walk = Firm(settings, held)
        walk.out.mkdir(parents=True, exist_ok=True)
        held.enter_context(alone(walk.out / ".firm.lock"))
        walk.go()
        walk.report()
    if not settings.serve:
        return None
    from upwell.verbs import serve

    models = () if walk.why_not else (walk.out / "model",)
    return serve.main(serve.Settings(folder=models, index=(walk.out / "index",), port=settings.port, open=True))


class Kept:
    """What finished stages gave, in one file that is always whole."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.found = {}

    def get(self, name: str, key: str) -> dict | None:
        """What a stage with this key gave; None where it is not finished, or was another one."""
        one = self.found.get(name)
        return one if one and one["key"] == key else None

    def put(self, name: str, key: str, **values) -> dict:
        """Keep what a stage gave."""
        self.found[name] = {"key": key, **values}
        write_file(self.path, (json.dumps(self.found, ensure_ascii=False, indent=1) + "\n").encode("utf-8"))
        return self.found[name]


class Firm:
    """The stages, with what each took and gave."""

    def __init__(self, settings, held: ExitStack):
        self.settings, self.held = settings, held
        self.out = settings.out or Path("runs") / settings.corpus.resolve().stem
        self.rows: list[tuple[str, str, str]] = []
        self.base = brought(settings.from_)
        checked(self.base, settings.from_)
        self.kept = Kept(self.out / "firm.json")
        self.key = ""

    def go(self) -> None:
        """All stages."""
        self.prepared = self.clean()
        self.stage("index", [str(self.encoder_name)], self.index)
        self.stage("pairs", [], self.pairs)
        self.why_not = self.not_taught()
        self.before = self.stage("before", [self.settings.questions, self.why_not], lambda: self.ask(self.base))
        if self.why_not:
            terminal.say(self.why_not)
            self.rows.append(("teach", "", NOT_TAUGHT))
            self.after = self.before
            return
        self.stage("teach", [self.settings.minutes, self.settings.steps, self.settings.seed], self.teach)
        self.after = self.stage("after", [], lambda: self.ask(self.out / "model"))

    def stage(self, name: str, decisive: list, work: Callable[[], tuple[dict, str]]) -> dict:
        """Do one stage, or find it done; work gives what is kept of it and a line for the table."""
        terminal.stage(TITLES[name])
        self.key = digest([self.key, name, decisive])
        found = self.kept.get(name, self.key)
        if found is None:
            begin = time.perf_counter()
            result, told = work()
            found = self.kept.put(name, self.key, told=told, result=result, seconds=time.perf_counter() - begin)
        else:
            terminal.say(f"Done before: {found['told']}")
        self.rows.append((name, terminal.duration(found["seconds"]), found["told"]))
        return found["result"]

    # ---- text ----

    def clean(self):
        """The cleaned text, divided by files; found up to date where nothing has changed."""
        from upwell.verbs import prepare

        terminal.stage(TITLES["clean"])
        begin = time.perf_counter()
        wanted = prepare.Settings(paths=(self.settings.corpus,), out=self.out / "data", tokenizer=self.base,
                                  heldout=self.heldout_share(), split="source", seed=self.settings.seed,
                                  skip=("quality",), skip_unreadable=True)  # fmt: skip
        with terminal.Progress("prepare", total=100) as bar:
            made = prepare.prepare(wanted, lambda stage, done, whole: bar.update(100 * done / whole, {"now": stage}))
        prepare.show(made)
        self.key = digest([made.report["key"], self.base.name])
        masked = sum(count for step in made.report["steps"] if step["name"] == "privacy"
                     for count in step["changed"].values())  # fmt: skip
        told = (f"{made.report['train']['documents'] + made.report['heldout']['documents']:,} documents, "
                f"{masked:,} places with personal data masked, {made.dropped:,} documents left out")  # fmt: skip
        old = self.kept.get("clean", self.key)
        found = old or self.kept.put("clean", self.key, told=told, seconds=time.perf_counter() - begin)
        self.rows.append(("clean", terminal.duration(found["seconds"]), found["told"]))
        return made

    def heldout_share(self) -> float:
        """So much of the folder that measuring its perplexity stays quick."""
        from upwell.text import sources

        size = sum(unit.bytes for unit in sources.units([self.settings.corpus], sources.Settings()))
        low, high = HELD_SHARE
        return round(max(low, min(high, HELD_TEXT / max(size, 1))), 3)

    def documents(self, part: str) -> list:
        """The cleaned documents that are learnt from (train), or held out."""
        from upwell.prepared import documents_of

        return list(documents_of(self.prepared.folder / f"{part}.jsonl"))

    @cached_property
    def language(self) -> str:
        """zh where most of the letters are Chinese, else en."""
        from upwell.answering._chinese import chinese

        return "zh" if chinese("".join(one.text[:5000] for one in self.documents("train"))) else "en"

    # ---- index ----

    @property
    def encoder_name(self) -> Path | None:
        """The encoder that was named, else the usual one, which is shown Chinese as the meanings of its words."""
        named = self.settings.encoder or Path("minilm-l6")
        return None if str(named) == "none" else named

    @cached_property
    def encoder(self):
        """The backend that gives vectors; None: search by words alone."""
        if self.encoder_name is None:
            return None
        from upwell.verbs._firm_asking import held_as
        from upwell.verbs._models import open_folder

        backend = open_folder(brought(self.encoder_name), held_as()).backend
        self.held.callback(backend.close)
        return backend

    def opened_index(self, create: bool = False):
        """The index, closed with the walk."""
        from upwell.answering.index import Index

        return self.held.enter_context(Index.open(self.out / "index", encoder=self.encoder, create=create))

    def index(self) -> tuple[dict, str]:
        """The cleaned documents in the index, and no other ones; what is there already stays."""
        index = self.opened_index(create=True)
        wanted = {one.source: one for part in ("train", "heldout") for one in self.documents(part)}
        for source in {one.source for one in index.documents()} - wanted.keys():
            index.remove(source)
        documents = list(wanted.values())
        with terminal.Progress("index", total=len(documents)) as bar:
            for begin in range(0, len(documents), AT_ONCE):
                index.add(documents[begin : begin + AT_ONCE])
                bar.update(min(len(documents), begin + AT_ONCE))
        kept = {"documents": len(index.documents()), "passages": index.count}
        by = "words alone" if self.encoder is None else f"words and {self.encoder.name}"
        return kept, f"{kept['passages']:,} passages of {kept['documents']:,} documents, found by {by}"

    @cached_property
    def searcher(self):
        """What finds passages."""
        from upwell.answering.search import Searcher

        return Searcher(self.opened_index(), self.encoder)

    # ---- questions ----

    def pairs(self) -> tuple[dict, str]:
        """questions.jsonl: what is asked, the answer and where it stands, and whether it is learnt from or held out."""
        from upwell.answering import pairs

        parts = {one.source: part for part in ("train", "heldout") for one in self.documents(part)}
        found = pairs.of(one for part in ("train", "heldout") for one in self.documents(part))
        if not found:
            raise DataError(f"{self.settings.corpus}: found no sentence or heading that a question can be made of (X "
                            "is a ..., a heading with text below it, a line that asks); it can be asked all the same: "
                            f'upwell ask "..." --index {self.out / "index"}')  # fmt: skip
        lines = [asdict(one) | {"said": one.said, "part": parts[one.source]} for one in found]
        write_file(self.out / "questions.jsonl", as_lines(lines))
        count = {part: sum(one["part"] == part for one in lines) for part in ("train", "heldout")}
        if not count["heldout"]:
            raise DataError(f"{self.settings.corpus}: all {len(found):,} questions come from documents that are "
                            "learnt from, and none is left to measure by; add documents, or choose another "
                            "--seed")  # fmt: skip
        kinds = {kind: sum(one.kind == kind for one in found) for kind in sorted({one.kind for one in found})}
        told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        return count, f"{len(found):,} questions ({told}), {count['heldout']:,} of them about held-out documents"

    def questions(self, part: str) -> list[dict]:
        """The lines of questions.jsonl about one part, of all kinds from all over."""
        import random

        lines = (self.out / "questions.jsonl").read_text(encoding="utf-8").splitlines()
        found = [one for one in map(json.loads, lines) if one["part"] == part]
        random.Random(self.settings.seed).shuffle(found)
        return found

    def not_taught(self) -> str:
        """Why the model is not taught; "" where it is."""
        name, pairs = self.base.name, self.kept.found["pairs"]["result"]["train"]
        tokens = self.tokens_of_a_character() if self.language == "zh" else 0.0
        if tokens > FERTILE:
            return (f"{name} is not taught: the folder is Chinese, and its tokenizer takes {tokens:.1f} tokens for a "
                    "character, as of a model that has hardly read any; answers are sentences of the documents. Name a "
                    "model that writes Chinese with --from.")  # fmt: skip
        if pairs < LEAST:
            return (f"{name} is not taught: the folder gives {pairs:,} questions to learn from, and at least {LEAST} "
                    "are needed; answers are sentences of the documents.")  # fmt: skip
        return ""

    def tokens_of_a_character(self) -> float:
        """How many tokens the model needs for a Chinese character of this folder."""
        from upwell.answering._chinese import HAN
        from upwell.tokens.tokenizer import Tokenizer

        text = "".join(HAN.findall("".join(one.text[:2000] for one in self.documents("train"))))[:20_000]
        return len(Tokenizer.load(self.base).encode(text)) / max(1, len(text))

    # ---- asking, teaching ----

    def ask(self, model: Path) -> tuple[dict, str]:
        """The held-out questions and those of other subjects, answered in every way."""
        from upwell.answering import elsewhere
        from upwell.verbs import _firm_asking

        asked = _firm_asking.Asked(self.questions("heldout")[: self.settings.questions], elsewhere.of(self.language))
        store = None if self.why_not else self.prepared.heldout
        found = _firm_asking.measured(None if self.why_not else model, self.searcher, asked, store,
                                      sentences=model == self.base)  # fmt: skip
        return found, _firm_asking.line(found)

    def teach(self) -> tuple[dict, str]:
        """Thin adapters that learn to answer briefly, alone and from passages."""
        from upwell.verbs import _firm_teaching

        return _firm_teaching.taught(self)

    # ---- the end ----

    def report(self) -> None:
        """Tables, pictures, the next commands."""
        from upwell.verbs import _firm_asking

        whole = sum(self.kept.found[name]["seconds"] for name in TITLES if name in self.kept.found)
        self.rows.append(("in all", terminal.duration(whole), ""))
        terminal.table(f"From a folder to answers: {self.out}", ("stage", "time", "result"), self.rows)
        taught = not self.why_not
        _firm_asking.show(self.before, self.after if taught else None, self.out / "answers.png", self.out.name)
        terminal.say(f"Everything lies in {self.out}; the questions with their places in questions.jsonl. Go on with:")
        question, index = self.questions("heldout")[0]["question"], self.out / "index"
        model = self.out / "model"
        terminal.say(f'  upwell ask "{question}" --index {index}' + (f" --writer {model}" if taught else ""))
        terminal.say("  upwell serve " + (f"{model} " if taught else "") + f"--index {index}")


# ---- models ----


def brought(given: Path) -> Path:
    """The folder of a model, by its path or name; one of the catalogue is fetched where it is not there yet."""
    from upwell import weights

    if not given.exists() and given.as_posix() in weights.names():
        return weights.fetch(given.as_posix(), terminal.say)
    return weights.find(given)


def checked(folder: Path, named: Path) -> None:
    """SettingsError where a model does not answer: an encoder, or one that never learnt to talk."""
    from upwell.model import hub
    from upwell.text.chat import Template

    config = hub.read_config(folder)
    if config.shape != "decoder" or config.head.kind != "language":
        raise SettingsError(f"--from {named}: found a {config.shape} with the head {config.head.kind}, expected a "
                            "model that writes, such as smollm2-135m")  # fmt: skip
    if Template.load(folder) is None:
        raise SettingsError(f"--from {named}: found no chat template, so it is no model that answers; name one that "
                            "learnt to chat, such as smollm2-135m")  # fmt: skip


def as_lines(records: list[dict]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(one, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n" for one in records)


def digest(value) -> str:
    """A short name of a value: of the same value the same."""
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
