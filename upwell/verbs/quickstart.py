"""Text to a served model of your own, on this machine, in minutes.

Fetches a real corpus (or takes yours), cleans it, trains a tokenizer and a model for a few minutes, measures the
model on text it has not seen, lets it write, and says how to go on. Ctrl-C stops it; the same command goes on.

With --from a model is not made but taken, and taught to answer from a folder of documents: these are cleaned, personal
data taken out, indexed; questions with known answers are made of them; the model learns from some (LoRA), and is asked
the others before and after, alone and with passages, beside the best sentence with its exact place.

Examples:
    upwell quickstart
    upwell quickstart --minutes 10 --serve
    upwell quickstart --corpus ~/my-texts
    upwell quickstart --lang zh
    upwell quickstart --steps 200 --seed 7
    upwell quickstart --from smollm2-135m --corpus docs/
    upwell quickstart --from smollm2-135m --corpus docs/ --minutes 8 --serve
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from upwell import terminal

CORPORA = {"en": ("wiki-intros", "en"), "fr": ("wiki-intros", "fr"), "es": ("wiki-intros", "es"),
           "zh": ("chinese-poetry", "zh")}  # fmt: skip
INSTEAD = {"zh": ("ui-pairs", "zh-text")}  # where the first cannot be had, for want of npm
RECIPE = Path(__file__).parent.parent / "recipes" / "settings" / "quickstart.yaml"


@dataclass(frozen=True)
class Settings:
    """Which text, how long, where to."""

    lang: Literal["en", "zh", "fr", "es"] = "en"
    """Language of the fetched corpus."""
    corpus: Path | None = None
    """A folder or file of your own text instead."""
    minutes: float = 4.0
    """Time for training; the other stages take about a minute more."""
    steps: int = 0
    """Train exactly this many steps instead; with the same seed, machine and threads the loss is the same."""
    seed: int = 1
    """Chooses the held-out part, first weights and order."""
    out: Path | None = None
    """The run's folder; default: runs/quickstart-LANG, or runs/ and the name of your folder."""
    vocab_size: int = 4096
    """Tokens of the tokenizer."""
    compile: Literal["wait", "background", "off"] = "wait"
    """Whether the model is compiled before training starts, meanwhile, or not at all."""
    serve: bool = False
    """Open the page at the end."""
    port: int = 8000
    """The page's port, with --serve."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """A model that chats, to be taught from --corpus: a folder, or a name (smollm2-135m is fetched)."""
    encoder: Path | None = None
    """With --from: what passages are found by beside their words, a folder or a name; none: words alone. Default:
    minilm-l6."""
    questions: int = 60
    """With --from: questions about held-out documents that are asked before and after."""

    def __post_init__(self):
        if not (self.minutes > 0 and math.isfinite(self.minutes)):
            raise ValueError(f"minutes is {self.minutes}; expected a number above 0, as 4")
        if self.steps < 0:
            raise ValueError(f"steps is {self.steps}; expected 0 (use the minutes) or more")
        if self.questions < 1:
            raise ValueError(f"questions is {self.questions}; expected 1 or more")
        if self.from_ is not None and self.corpus is None:
            raise ValueError("--from needs --corpus: the folder of documents that the model is to answer from")
        if self.from_ is not None and (self.vocab_size, self.lang, self.compile) != (4096, "en", "wait"):
            raise ValueError("--vocab-size, --lang and --compile are for a new model; with --from the model has its "
                             "own tokenizer, and the language is that of the text")  # fmt: skip
        if self.from_ is None and (self.encoder is not None or self.questions != 60):
            raise ValueError("--encoder and --questions go with --from, the model that is to answer questions")


def main(settings: Settings) -> int | None:
    if settings.from_ is not None:
        from upwell.verbs import _firm

        return _firm.main(settings)
    walk = Walk(settings)
    with walk.stopping():
        text = walk.stage("fetch", walk.fetch)
        prepared = walk.stage("prepare", lambda: walk.prepare(text))
        result = walk.stage("pretrain", walk.pretrain)
        levels = walk.stage("compare", lambda: walk.compare(prepared))
        walk.stage("write", walk.write)
    walk.report(result, levels)
    if not settings.serve:
        return None
    from upwell.verbs import serve

    return serve.main(serve.Settings(folder=walk.out, port=settings.port, open=True))


class Walk:
    """The stages one after the other, with what each took and gave."""

    def __init__(self, settings: Settings):
        self.settings = settings
        name = settings.corpus.resolve().stem if settings.corpus else f"quickstart-{settings.lang}"
        self.out = settings.out or Path("runs") / name
        self.rows: list[tuple[str, str, str]] = []

    def stage(self, name: str, work: Callable):
        """Do one stage; what it returns besides its result is one line for the table."""
        terminal.stage(TITLES[name])
        begin = time.perf_counter()
        result, told = work()
        self.rows.append((name, terminal.duration(time.perf_counter() - begin), told))
        return result

    def stopping(self) -> "Stopping":
        """Where Ctrl-C comes outside of training, say that the same command goes on."""
        return Stopping()

    def fetch(self):
        """The corpus on disk."""
        from upwell import catalog
        from upwell.errors import ServiceError

        if self.settings.corpus:
            return self.settings.corpus, str(self.settings.corpus)
        name, language = CORPORA[self.settings.lang]
        try:
            path = catalog.fetch(name, language, say=terminal.say)
        except ServiceError as error:
            if self.settings.lang not in INSTEAD:
                raise
            terminal.warn(f"{error} Taking {INSTEAD[self.settings.lang][0]} instead.")
            name, language = INSTEAD[self.settings.lang]
            path = catalog.fetch(name, language, say=terminal.say)
        found = catalog.entry(name)
        terminal.say(f"{name}: {found.what}. {found.licence}")
        return path, f"{name}, {path.stat().st_size / 1e6:.1f} MB"

    def prepare(self, text: Path):
        """Clean, distinct, divided, as tokens."""
        from upwell.verbs import prepare

        wanted = prepare.Settings(paths=(text,), out=self.out / "data", vocab_size=self.settings.vocab_size,
                                  seed=self.settings.seed)  # fmt: skip
        with terminal.Progress("prepare", total=100) as bar:
            made = prepare.prepare(wanted, lambda stage, done, whole: bar.update(100 * done / whole, {"now": stage}))
        prepare.show(made)
        return made, (f"{made.report['train']['documents']:,} documents, {len(made.train):,} tokens to learn, "
                      f"{len(made.heldout):,} held out, {made.dropped:,} left out")  # fmt: skip

    def pretrain(self):
        """The model."""
        from upwell.run.going import train

        result = train(self.recipe())
        rate = result.tokens / max(result.seconds, 1e-9)
        return result, (f"{result.parameters / 1e6:.1f} M parameters, {result.steps:,} steps, {result.tokens:,} tokens "
                        f"at {rate:,.0f} a second")  # fmt: skip

    def recipe(self):
        """The recipe's settings with this call's own."""
        from upwell.settings import parse
        from upwell.verbs import pretrain

        s = self.settings
        given = parse(pretrain.Settings, [str(self.out / "data"), "--config", str(RECIPE)], "quickstart")
        training = replace(given.training, seed=s.seed, compile=s.compile)
        training = replace(training, steps=s.steps) if s.steps else training
        return replace(given, out=self.out, minutes=0.0 if s.steps else s.minutes, training=training)

    def compare(self, prepared):
        """What others reach on the same held-out text, in bits per byte; kept, since it takes its time."""
        from upwell.evaluation import compare

        kept = self.out / "compare.json"
        key = f"{prepared.tokenizer.hash}-{len(prepared.train)}-{len(prepared.heldout)}"
        levels = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        if levels.get("of") != key:
            texts = [texts_of(prepared.folder / f"{part}.jsonl") for part in ("train", "heldout")]
            learnt, held = ("\n\n".join(part).encode() for part in texts)
            levels = {"of": key, "xz": compare.xz(learnt, held),
                      "5-grams": compare.ngrams(prepared.train, prepared.heldout)}  # fmt: skip
            kept.write_text(json.dumps(levels) + "\n", encoding="utf-8")
        levels = {name: value for name, value in levels.items() if name != "of"}
        return levels, ", ".join(f"{name} {value:.3f}" for name, value in levels.items()) + " bits per byte"

    def write(self):
        """Three samples: one from the start of a document, two that go on from held-out beginnings."""
        from upwell.model import hub
        from upwell.run.samples import sample

        checkpoint = hub.load(self.out)
        held = texts_of(self.out / "data" / "heldout.jsonl")
        prompts = ["", *(beginning(text) for text in (held[0], held[-1]))]
        for number, prompt in enumerate(prompts):
            if number:
                terminal.say("")
            terminal.sample(sample(checkpoint.model, checkpoint.tokenizer, 120, prompt, self.settings.seed + number))
        return None, f"{len(prompts)} samples"

    def report(self, result, levels: dict) -> None:
        """The table, the picture, the next two commands."""
        from upwell.evaluation import curve
        from upwell.training import record

        lines = record.read(self.out / "metrics.jsonl")
        title = f"{self.out.name}: {result.parameters / 1e6:.1f} M parameters"
        picture = curve.possible() and curve.draw(lines, self.out / "loss.png", title, levels)
        held = f"{result.bits_per_byte:.3f} ± {result.error:.3f} bits per byte on held-out text"
        self.rows.insert(3, ("evaluate", "", held))
        terminal.table("From text to a model of your own", ("stage", "time", "result"), self.rows)
        drawn = f"The loss curve is {picture}" if picture else f"The loss curve: {curve.HOW}"
        terminal.say(f"{drawn}; the model's folder is {self.out}. Go on with:")
        prompt = beginning(texts_of(self.out / "data" / "heldout.jsonl")[0])
        terminal.say(f'  upwell generate {self.out} --prompt "{prompt}"')
        terminal.say(f"  upwell serve {self.out}")


TITLES = {
    "fetch": "1 of 5  The text", "prepare": "2 of 5  Clean, divide, tokenise", "pretrain": "3 of 5  Train the model",
    "compare": "4 of 5  Compare with a compressor and with 5-grams", "write": "5 of 5  The model writes",
}  # fmt: skip


class Stopping:
    """Turns a Ctrl-C without words into one with them."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and not str(error):
            raise KeyboardInterrupt("Stopped; the same command goes on from here.") from None


def texts_of(path: Path) -> list[str]:
    """The texts of a JSON-lines file."""
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def beginning(text: str) -> str:
    """The first few words of a text (after its title), or characters where words are not spaced."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    line = next((line for line in lines if len(line) > 40), lines[0])
    words = line.split(" ")
    return " ".join(words[:4]) if len(words) > 4 else line[:8]
