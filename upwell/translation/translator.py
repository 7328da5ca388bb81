"""Texts and segments in another language: sentence by sentence, many at once, and never silently wrong.

    translator = Translator(backend, asking)
    for made in translator.texts(["Open the file."], "en", "zh"): ...

Each sentence is looked at when it comes back: it must hold its source's addresses, signs, code and numbers, keep to the
glossary, and be no loop. Where it does not, beam search is made to write what is missing, without repetitions, and
where that fails, too, only what lies between the protected parts is translated, so that these cannot change. `Made.how`
says which it was.
"""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..errors import ServiceError, UpwellError
from ..generation.backend import Backend
from ..generation.settings import Settings as Writing
from . import Parts, Segment
from .aligned import Aligner, Range
from .answer import edged, looping, read, tidy
from .asking import Asking
from .glossary import Breach, Glossary
from .inline import Flat, flatten, rebuilt
from .memory import Memory, Unit
from .protect import Span, lost, pieces
from .sentences import between, divided

AT_ONCE = 32  # sentences that wait in the engine
LONGER = 4  # a translation of more than so many times its source's tokens is a loop
FORCED = 8  # protected parts that a search is asked to write at most
LOW = 0.35  # a confidence below this is low; see docs/translation.md for what it means


class Made(NamedTuple):
    """A sentence or a text that was translated."""

    source: str
    text: str
    how: str
    """model, forced (the search had to write what was missing), pieces (what is protected was left out), memory, copied
    (there was nothing to translate); of several sentences the worst."""
    confidence: float
    """The geometric mean of the probabilities of its tokens, 0 .. 1; of a text that of its least certain sentence."""
    breaches: tuple[Breach, ...] = ()
    best: tuple[str, ...] = ()
    """Other translations, where more than one was asked for, the first one included."""


class Asked(NamedTuple):
    """A sentence on its way. exact: its signs stand for things of a file and must come back."""

    text: str
    source: str
    target: str


class Must(NamedTuple):
    """What a second try must do better. words: hold these; go_on: not say the same again and again."""

    words: tuple[str, ...] = ()
    go_on: bool = False


@dataclass(frozen=True)
class Settings:
    """How sentences are translated."""

    beams: int = 4
    """Texts that beam search keeps alive; 1: the likeliest token each time."""
    best: int = 1
    """How many translations of each sentence are told."""
    whole: bool = False
    """Give each text to the model as it is, not sentence by sentence."""
    seconds: float | None = None
    """Time for one sentence at most."""
    glossary: Glossary = field(default_factory=Glossary)
    memory: Memory | None = None
    """What was translated before; what the model writes is kept there, too."""

    def __post_init__(self):
        if self.beams < 1 or not 1 <= self.best <= max(self.beams, 1):
            raise ValueError(f"beams is {self.beams} and best is {self.best}; expected best from 1 to beams")


ORDER = ("copied", "memory", "model", "forced", "pieces")


class Translator:
    """One model for texts between its languages. It may be used by one thread at a time."""

    def __init__(self, backend: Backend, asking: Asking, settings: Settings | None = None):
        self.backend, self.asking, self.settings = backend, asking, settings or Settings()
        self.align = Aligner(backend)

    # ---- texts ----

    def texts(self, texts: Sequence[str], source: str, target: str,
              done: Callable[[int], None] = lambda count: None) -> list[Made]:  # fmt: skip
        """Each text in the other language. done: is told how many sentences more are ready."""
        self.asking.check(source, target)
        parts = [self._sentences(text, source) for text in texts]
        made = iter(self.sentences([one.text for some in parts for one in some], source, target, done))
        found = []
        for text, some in zip(texts, parts, strict=True):
            mine = [next(made) for _ in some]
            found.append(_together(text, some, mine, target))
        return found

    def _sentences(self, text: str, language: str) -> list:
        from .sentences import Sentence

        if self.settings.whole:
            return [Sentence(text.strip(), "")] if text.strip() else []
        return divided(text, language)

    def sentences(self, texts: Sequence[str], source: str, target: str,
                  done: Callable[[int], None] = lambda count: None) -> list[Made]:  # fmt: skip
        """Each sentence translated; the same one only once."""
        found: dict[str, Made] = {}
        open_ones = []
        for text in dict.fromkeys(texts):
            known = self._known(text, source, target)
            if known is None:
                open_ones.append(text)
            else:
                found[text] = known
        done(sum(text in found for text in texts))
        for begin in range(0, len(open_ones), AT_ONCE):
            some = open_ones[begin : begin + AT_ONCE]
            made = self._written([Asked(text, source, target) for text in some])
            found.update(zip(some, made, strict=True))
            now = set(some)
            done(sum(text in now for text in texts))
        if self.settings.memory is not None:
            units = [Unit(text, found[text].text, self.asking.name) for text in open_ones]
            self.settings.memory.learn(units, source, target)
        return [found[text] for text in texts]

    def _known(self, text: str, source: str, target: str) -> Made | None:
        """What needs no model: nothing to translate, or translated before."""
        if not any(any(map(str.isalpha, piece)) for piece, protected in pieces(text) if not protected):
            return Made(text, text, "copied", 1.0)
        if self.settings.memory is not None:
            unit = self.settings.memory.exact(text, source, target)
            if unit is not None and not lost(text, unit.target):
                return Made(text, unit.target, "memory", 1.0, tuple(self.settings.glossary.breaches(text, unit.target)))
        return None

    # ---- one sentence after the other ways have failed ----

    def _written(self, asked: list[Asked]) -> list[Made]:
        found = self._model(asked)
        wrong = [number for number, one in enumerate(found) if self._wrong(one)]
        if wrong and hasattr(self.backend, "engine") and self.settings.beams > 1:
            forced = self._model([asked[number] for number in wrong],
                                 [Must(self._missing(found[number]), looping(found[number].text))
                                  for number in wrong])  # fmt: skip
            for number, one in zip(wrong, forced, strict=True):
                if not self._wrong(one):
                    found[number] = one._replace(how="forced")
        wrong = [number for number in wrong if found[number].how == "model"]
        if wrong:
            for number, one in zip(wrong, self._around([asked[number] for number in wrong]), strict=True):
                found[number] = one
        return found

    def sound(self, source: str, text: str) -> bool:
        """Whether a text may stay as the translation of a sentence."""
        return not self._wrong(Made(source, text, "model", 1.0, tuple(self.settings.glossary.breaches(source, text))))

    def _wrong(self, one: Made) -> bool:
        """Whether a translation cannot stay."""
        loops = looping(one.text) and not looping(one.source)
        return bool(not one.text.strip() or lost(one.source, one.text) or one.breaches or loops)

    def _missing(self, one: Made) -> tuple[str, ...]:
        """What a search is made to write: the protected parts and the terms that are not there."""
        words = [part for part in lost(one.source, one.text) if part in one.source]
        return tuple(dict.fromkeys([*words, *(breach.term.target for breach in one.breaches)]))[:FORCED]

    def _model(self, asked: list[Asked], must: list[Must] | None = None) -> list[Made]:
        """What the model makes of each."""
        prompts = [self.asking.prompt(one.text, one.source, one.target) for one in asked]
        writers = [self._begun(one, prompt, Must() if must is None else must[number])
                   for number, (one, prompt) in enumerate(zip(asked, prompts, strict=True))]  # fmt: skip
        if hasattr(self.backend, "engine"):
            results = [finish() for finish in [_started(one, must is not None) for one in writers]]
        else:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                results = list(pool.map(lambda begin: read(begin()), writers))
        found = []
        for one, (text, logprobs, best) in zip(asked, results, strict=True):
            sure = math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0
            text, best = tidy(text, one.text), tuple(tidy(other, one.text) for other in best)
            breaches = tuple(self.settings.glossary.breaches(one.text, text))
            found.append(Made(one.text, text, "model", sure, breaches, best))
        return found

    def _begun(self, one: Asked, prompt, must: Must) -> Callable:
        """A call that begins the writing and gives its pieces."""
        s, config = self.settings, getattr(self.backend, "config", None)
        most = 4 * len(one.text) + 64
        if config is not None:
            size = len(prompt) if not isinstance(prompt[0], dict) else len(self.backend.read(prompt))
            room = config.context - (len(self.backend.start) if self.backend.has_source else size)
            most = min(max(LONGER * size + 16, 2 * len(one.text) if config.shape == "decoder" else 0), room)
            longest = sys.maxsize if config.positions == "relative" else config.context
            if most < 1 or (size > longest if self.backend.has_source else room < size // 2):
                return lambda: iter(())  # it does not fit: what lies between protected parts may
        ways = {"strategy": "beam", "beams": s.beams, "best": s.best} if s.beams > 1 and config is not None else {
            "temperature": 0.0}  # fmt: skip
        if must.words:
            ways = {"strategy": "constrained", "beams": max(s.beams, 4), "must": must.words}
        if must.go_on:
            ways["no_repeat"] = 3
        return lambda: self.backend.generate(prompt, Writing(max_new=most, seconds=s.seconds, **ways))

    def _around(self, asked: list[Asked]) -> list[Made]:
        """Only what lies between protected parts and terms is translated."""
        cut = []
        for one in asked:
            terms = [(span, term.target) for span, term in self.settings.glossary.within(one.text)]
            own = {one.text[span.begin : span.end]: target for span, target in terms}
            cut.append([(own.get(piece, piece) if protected else piece, protected)
                        for piece, protected in pieces(one.text, [Span(*span) for span, _ in terms])])  # fmt: skip
        words = [(row, at) for row, some in enumerate(cut) for at, (piece, protected) in enumerate(some)
                 if not protected and any(map(str.isalpha, piece))]  # fmt: skip
        edges = {(row, at): edged(cut[row][at][0]) for row, at in words}
        inner = [asked[row]._replace(text=edges[row, at][1]) for row, at in words]
        made = self._model(inner) if inner else []
        sure = [1.0] * len(asked)
        for (row, at), one in zip(words, made, strict=True):
            before, piece, behind = edges[row, at]
            text = piece if not one.text.strip() or lost(one.source, one.text) or looping(one.text) else one.text
            cut[row][at] = before + text.strip() + behind, False
            sure[row] = min(sure[row], one.confidence)
        found = []
        for one, some, confidence in zip(asked, cut, sure, strict=True):
            text = "".join(piece for piece, _ in some)
            own = [term.target for _, term in self.settings.glossary.within(one.text)]
            if set(lost(one.text, text)) - {part for term in own for part in lost("", term)}:
                text, confidence = one.text, 0.0  # no way is left but the source itself
            breaches = tuple(self.settings.glossary.breaches(one.text, text))
            found.append(Made(one.text, text, "pieces", confidence, breaches, (text,)))
        return found

    # ---- segments ----

    def segments(self, segments: Iterable[Segment], source: str, target: str,
                 done: Callable[[int], None] = lambda count: None) -> list[tuple[Parts, Made]]:  # fmt: skip
        """The parts of each segment in the other language, its formatting on the right words."""
        flats = [flatten(segment.parts) for segment in segments]
        divisions = [self._sentences(flat.text, source) for flat in flats]
        made = iter(self.sentences([one.text for some in divisions for one in some], source, target, done))
        found = []
        for flat, some in zip(flats, divisions, strict=True):
            mine = [next(made) for _ in some]
            whole = _together(flat.text, some, mine, target)
            ranges = self._ranges(flat, some, mine, source, target)
            found.append((rebuilt(flat, whole.text, ranges), whole))
        return found

    def _ranges(self, flat: Flat, some: list, made: list[Made], source: str, target: str) -> list[Range]:
        """Where the words of each pair of codes stand in the translation."""
        if not flat.pairs:
            return []
        starts, ends, at, there = [], [], 0, 0
        for sentence, one in zip(some, made, strict=True):
            at = flat.text.index(sentence.text, at)
            starts.append((at, there))
            at, there = at + len(sentence.text), there + len(one.text)
            ends.append((at, there))
            there += len(between(sentence.space, target)) if sentence.space else 0
        found: list[list[Range]] = [[] for _ in flat.pairs]
        for number, one in enumerate(made):
            (begin, first), (end, _) = starts[number], ends[number]
            inside = [
                (which, max(pair.begin, begin) - begin, min(pair.end, end) - begin)
                for which, pair in enumerate(flat.pairs)
                if pair.begin < end and pair.end > begin or pair.begin == pair.end and begin <= pair.begin <= end
            ]
            if not inside:
                continue
            prompt = self.asking.prompt(one.source, source, target)
            ranges = self.align(one.source, one.text, [(b, e) for _, b, e in inside], prompt)
            for (which, _, _), (b, e) in zip(inside, ranges, strict=True):
                found[which].append((first + b, first + e))
        last = ends[-1][1] if ends else 0
        return [(min(b for b, _ in mine), max(e for _, e in mine)) if mine else (last, last) for mine in found]


def _started(begin: Callable, second: bool) -> Callable:
    """A writing that is begun now, and read when this is called. second: what cannot be written is nothing."""
    pieces = _or_nothing(begin, second, ())
    return lambda: _or_nothing(lambda: read(pieces), second, read(()))


def _or_nothing(work: Callable, second: bool, nothing):
    """What work gives; a second try may ask for more than has room, which leaves the first one's other ways."""
    try:
        return work()
    except ServiceError:
        raise
    except UpwellError:
        if not second:
            raise
        return nothing


def _together(text: str, some: list, made: list[Made], target: str) -> Made:
    """The sentences of a text as one."""
    if not made:
        return Made(text, text, "copied", 1.0)
    parts = []
    for number, (sentence, one) in enumerate(zip(some, made, strict=True)):
        last = number == len(some) - 1
        parts.append(one.text + (sentence.space if last else between(sentence.space, target) if sentence.space else ""))
    begin = text[: len(text) - len(text.lstrip())]
    how = max((one.how for one in made), key=ORDER.index)
    breaches = tuple(breach for one in made for breach in one.breaches)
    best = made[0].best if len(made) == 1 else ()
    return Made(text, begin + "".join(parts), how, min(one.confidence for one in made), breaches, best)


def with_settings(translator: Translator, **changes) -> Translator:
    """The same translator with other settings."""
    return Translator(translator.backend, translator.asking, replace(translator.settings, **changes))
