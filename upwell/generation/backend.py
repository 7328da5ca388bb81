"""What every later room sees of a model: write, score, embed. Local is our engine on a checkpoint, Remote a server.

Importing this module imports no torch; Local does when it is made.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import NamedTuple, Protocol

from .. import plugs
from ..errors import CheckpointError, DataError, SettingsError, TooLong, UpwellError
from ..text import calls, chat
from .answer import Answer, columns
from .habits import habits
from .remote import Remote
from .settings import Piece, Ranked, Settings, Usage, unwritable
from .stop import stopping
from .stream import Stream

__all__ = ["Answer", "Backend", "Local", "Piece", "Ranked", "Remote", "Settings", "Usage"]

Prompt = str | Sequence[int] | list[dict]


class Backend(Protocol):
    """A model that writes. What a backend cannot do it says with an UpwellError."""

    name: str

    def generate(self, prompt: Prompt, settings: Settings) -> Iterator[Piece]:
        """Continue a text (or token ids of this model, or a chat as messages). Mistakes are raised by the call.

        The iterator has a close() that ends the work; the joined pieces are the whole text.
        """

    def score(self, prompt: Prompt, continuation: str) -> list[tuple[str, float]]:
        """Each token of the continuation with its log-probability after everything before it (natural logarithm)."""

    def embed(self, texts: Sequence[str | Sequence[int]]) -> list[list[float]]:
        """A vector for each text (or token ids of this model)."""

    def classify(self, texts: Sequence[str | tuple[str, str]]) -> list[dict[str, float]]:
        """How sure it is of each label, of each text or pair of texts."""

    def spans(self, pairs: Sequence[tuple[str, str]]) -> list[dict]:
        """The answer to each question in the text beside it: answer ("" for none), score, start and end in the text."""

    def close(self) -> None:
        """Free what it holds."""


class Local:
    """Our engine on a checkpoint.

    A text prompt is taken as the beginning of a document, so the model's begin token stands before it; an empty one
    writes a document from its start. A model with an encoder reads it as the text that its own is about. A chat is
    written out by the model's template. Token ids are taken as they are.

    draft: the checkpoint of a small model with the same tokenizer, which guesses for the strategy speculative.
    deterministic: what is written does not depend on who else is asking (see engine).
    turns: the thread that several models of a process share.
    read: for a model with a head, what its head says of some texts: objects with .text, .context and .ids -> dicts that
    hold a vector, scores or a value, as evaluation.predict.Predictor gives them.
    """

    def __init__(self, checkpoint, rows: int = 16, waiting: int = 256, draft=None, deterministic: bool = False,
                 turns=None, read: Callable | None = None):  # fmt: skip
        from .engine import Engine
        from .reader import Reader
        from .spelling import Spelling

        if checkpoint.tokenizer is None:
            raise DataError(f"{checkpoint.folder} has no tokenizer.json; copy the model's into the folder")
        self.name = checkpoint.folder.name if checkpoint.folder else "model"
        self.tokenizer, self.config, self.folder = checkpoint.tokenizer, checkpoint.model.config, checkpoint.folder
        self.template = checkpoint.template or chat.plain()
        self.habits = habits(self.folder)
        self.begin = self.tokenizer.end if self.config.bos is None else self.config.bos
        self.ends = frozenset({self.tokenizer.end}) | self.config.ends | self.habits.ends
        self.spelling = Spelling(self.tokenizer, self.config.vocab)
        self.draft = None if draft is None else _fitting(draft, checkpoint)
        if deterministic and self.has_source:
            raise SettingsError(f"deterministic: found {self.name}, a model with an encoder, expected a decoder: how "
                                "its sources are read depends on the longest one")  # fmt: skip
        self.engine = Engine(checkpoint.model, rows, waiting, deterministic=deterministic, turns=turns)
        self.reader = None if read is None else Reader(self.engine.call, read)
        self.adapter = 0        # the number of the adapter that it writes with; 0: the model as it is

    def adapted(self, number: int, name: str, template: chat.Template | None = None) -> "Local":
        """The same engine with one of the adapters that its model has (see model.several), under another name."""
        other = copy.copy(self)
        other.adapter, other.name, other.template = number, name, template or self.template
        return other

    def generate(self, prompt: Prompt, settings: Settings | None = None, client: str = "") -> "Answer":
        """Continue `prompt`. SettingsError where it does not fit, engine.Busy where too many wait."""
        from .jobs import Job

        self._check_writer()
        settings, ids = settings or Settings(), self.read(prompt)
        stops, ends = self._stops(prompt, settings)
        before, source = (self.start, ids) if self.has_source else (ids, None)
        begin, width, hidden = self._begin(before, source, stops, ends, settings)
        job = self.engine.submit(Job(before, begin, settings.max_new, client, source, width, hidden, self.adapter))
        return Answer(job, lambda: Stream(self.tokenizer.bytes_of, stops), ends, settings.best)

    def score(self, prompt: Prompt, continuation: str) -> list[tuple[str, float]]:
        """Prompt and continuation are cut into tokens as one text; a token across the border counts as continuation."""
        self._check_writer()
        source = self.read(prompt) if self.has_source else None
        first = () if self.habits.first is None else (self.habits.first,)
        ids, at = self._joint((*self.start, *first) if self.has_source else prompt, continuation)
        tokens = self._tokens(ids, at, source)
        return [(self.tokenizer.bytes_of(token.id).decode("utf-8", "replace"), token.logprob) for token in tokens]

    def told(self, prompt: Prompt, top: int = 0) -> Piece:
        """The tokens of the prompt itself from its second one on, how likely they were, and the `top` likeliest."""
        self._check_writer()
        if self.has_source:
            raise UpwellError(f"{self.name} reads its prompt with an encoder, which calls no token likelier")
        return Piece("", *columns(self._tokens(self.read(prompt), 1, None, top)))

    def _tokens(self, ids: list[int], at: int, source: list[int] | None, top: int = 0) -> list:
        """Tokens of ids[at:] with their log-probabilities."""
        from .scoring import tokens_from

        return self.engine.call(lambda model: tokens_from(model, ids, at, source, top, self.adapter))

    def embed(self, texts: Sequence[str | Sequence[int]]) -> list[list[float]]:
        """By the head of a model that was trained for it. DataError for a text that is empty or too long."""
        return [found["vector"] for found in self._said(texts, "embed", "has no embeddings")]

    def classify(self, texts: Sequence[str | tuple[str, str]]) -> list[dict[str, float]]:
        """The probability of each label; of a head that gives a number that number, as "value"."""
        found = self._said(texts, "classify", "knows no labels")
        return [one["scores"] if "scores" in one else {"value": one["value"]} for one in found]

    def spans(self, pairs: Sequence[tuple[str, str]]) -> list[dict]:
        """The likeliest answer of each (question, text): answer ("" for none), score (its probability), start, end."""
        found = self._said(pairs, "span", "finds no answers in texts")
        return [{name: one[name] for name in ("answer", "score", "start", "end")} for one in found]

    def _said(self, texts: Sequence, kind: str, lacks: str) -> list[dict]:
        if self.reader is None or self.config.head.kind != kind:
            raise UpwellError(f"{self.name} ({self.config.kind} with the head {self.config.head.kind}) {lacks}; take a "
                              "model that was trained for that")  # fmt: skip
        return self.reader(_asked(text) for text in texts)

    def close(self) -> None:
        """End the engine, also for those that share it; what still runs fails."""
        self.engine.close()

    def read(self, prompt: Prompt) -> list[int]:
        """The ids that the model reads for a prompt."""
        if _is_chat(prompt):
            return self._spoken(prompt)
        if not isinstance(prompt, str):
            return list(prompt)
        text = _writable(prompt, "prompt")
        self._check_size(text)
        return self.tokenizer.encode_source(text) if self.has_source else [self.begin, *self.tokenizer.encode(text)]

    def _spoken(self, prompt: list[dict]) -> list[int]:
        """The ids of a chat; where the template has no words for tools, they are told in plain ones."""
        tools, said, plain = getattr(prompt, "tools", None), list(prompt), self.template.plain
        told = (one.get("content") for one in said if isinstance(one, dict))
        self._check_size("".join(text for text in told if isinstance(text, str)))
        if not self.template.knows_tools:
            said, tools = calls.flattened(said, tools or ()), None
        begun = said.pop()["content"] if getattr(prompt, "goes_on", False) else ""
        begin = [self.begin] if plain and not self.has_source else []
        ids = begin + self.template.ids(said, self.tokenizer, tools=tools or None)
        return ids + self.tokenizer.encode(" " * plain + _writable(begun, "message")) if begun else ids

    def _check_size(self, text: str) -> None:
        """TooLong for a text so long that it cannot fit however it is cut: cutting megabytes would take seconds."""
        context = self.config.context
        if len(text) <= 8 * context or self.has_source and self.config.positions == "relative":
            return
        size = len(text.encode("utf-8"))
        fewest = -(-size // self.spelling.longest)
        if fewest > context:
            raise TooLong(f"the prompt has {size:,} bytes, which are {fewest:,} tokens or more, but the model reads at "
                          f"most {context:,}; shorten it")  # fmt: skip

    def taken(self, prompt: Prompt) -> int:
        """Places of the model's context that are taken before it writes; where there is an encoder, of its decoder."""
        return len(self.start) if self.has_source else len(self.read(prompt))

    @property
    def has_source(self) -> bool:
        """Whether it reads one text with an encoder and writes another."""
        return self.config.shape == "encoder-decoder"

    @property
    def start(self) -> list[int]:
        """What the decoder of an encoder-decoder begins with."""
        start = self.config.start if self.habits.start is None else self.habits.start
        if start is None:
            raise CheckpointError(f"{self.folder} does not say with which id its decoder begins; "
                                  "add decoder_start_token_id to its generation_config.json")
        return [start]

    @cached_property
    def _closing(self) -> frozenset[int]:
        """The id that ends a turn in the template, which need not be among the ids that end a text."""
        closing = None if self.template.plain else self.template.closing(self.tokenizer)
        return frozenset() if closing is None else frozenset({closing})

    def _stops(self, prompt: Prompt, settings: Settings) -> tuple[tuple[str, ...], frozenset[int]]:
        """Strings and ids at which the answer to this prompt ends."""
        ends = self.ends | {*settings.stop_ids}
        if not _is_chat(prompt):
            return settings.stop, ends
        return settings.stop + self.template.stops, ends | self._closing

    def _check_writer(self) -> None:
        c = self.config
        if c.shape == "encoder" or c.head.kind != "language":
            what = "is an encoder" if c.shape == "encoder" else f"has a head of the kind {c.head.kind}"
            raise UpwellError(f"{self.name} ({c.kind}) {what} and writes no text; take a model with a decoder "
                              "and a language head")

    def _begin(self, before: list[int], source: list[int] | None, stops, ends: frozenset[int], settings: Settings):
        """How the strategy is begun, how many rows it keeps, and whether it wants vectors."""
        from .filters import compose, likeliest

        strategy = plugs.find("generation/strategies", self._strategy(settings, likeliest(settings)))
        never = tuple(token for token in self.habits.banned if token < self.config.vocab)
        asked = replace(settings, banned=settings.banned + never) if never else settings
        sequences = [ids for ids in self.habits.sequences if max(ids) < self.config.vocab]
        spelled = self.spelling.spelled(settings, ends, sequences)
        first = self.habits.first if self.has_source else None
        filters = compose(asked, before, ends, self.config.vocab, first, spelled)
        stop = stopping(ends, settings.max_new, stops, self.tokenizer.bytes_of, settings.seconds)
        known = {f.name: getattr(settings, f.name) for f in fields(settings)} | {
            "before": tuple(source or before), "phrases": self.spelling.phrases(settings.must),
            "draft": None if self.draft is None else self._drafting(before, source),
        }  # fmt: skip
        wanted = [f.name for f in fields(strategy.Settings) if f.name in known]
        own = strategy.Settings(**{name: known[name] for name in wanted})
        width = strategy.rows(own) if hasattr(strategy, "rows") else 1
        if self.engine.deterministic and settings.strategy == "speculative":
            width = self.engine.rows        # its steps have more tokens than those of others: it goes alone
        return lambda given: strategy.search(given, filters, stop, own), width, getattr(strategy, "HIDDEN", False)

    def _strategy(self, settings: Settings, likeliest: bool) -> str:
        return "greedy" if likeliest and settings.strategy != "speculative" else settings.strategy

    def _drafting(self, before: list[int], source: list[int] | None):
        from .draft import Drafting

        return Drafting(self.draft, before, source)

    def _joint(self, prompt: Prompt, continuation: str) -> tuple[list[int], int]:
        """Ids of both, and where the continuation begins."""
        continuation = _writable(continuation, "continuation")
        if not isinstance(prompt, str):
            before = self.read(prompt) if _is_chat(prompt) else list(prompt)
            return [*before, *self.tokenizer.encode(continuation)], len(before)
        ids = self.tokenizer.encode(_writable(prompt, "prompt") + continuation)
        ends, total = [], 0
        for token in ids:
            total += len(self.tokenizer.bytes_of(token))
            ends.append(total)
        border = total - len(continuation.encode("utf-8"))  # from the end: some tokenizers begin with a space
        return [self.begin, *ids], 1 + sum(end <= border for end in ends)


def _fitting(draft, checkpoint):
    """The draft's model, if it speaks the same tokens."""
    ours, theirs = checkpoint.model.config, draft.model.config
    if draft.tokenizer is None or draft.tokenizer.hash != checkpoint.tokenizer.hash or ours.vocab != theirs.vocab:
        raise CheckpointError(f"draft: {draft.folder} has another tokenizer or vocabulary ({theirs.vocab} ids) than "
                              f"{checkpoint.folder} ({ours.vocab}); a draft must have the same")  # fmt: skip
    if ours.shape != theirs.shape:
        raise CheckpointError(f"draft: {draft.folder} is of the shape {theirs.shape}, expected {ours.shape}")
    return draft.model


class Text(NamedTuple):
    """A text, or a pair of them, or token ids, for a head to read."""

    text: str
    context: str = ""
    words: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()


def _asked(text: str | tuple[str, str] | Sequence[int]) -> Text:
    if isinstance(text, str):
        return Text(_writable(text, "input"))
    if text and isinstance(text[0], str):
        return Text(*(_writable(each, "input") for each in text))
    return Text("", ids=tuple(text))


def _is_chat(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], dict)


def _writable(text: str, name: str) -> str:
    fault = unwritable(text, name)
    if fault:
        raise DataError(fault)
    return text
