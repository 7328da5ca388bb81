"""A text that is still being typed: what stands in the translation already changes as little as may be.

    typist = Typist(translator, "en", "zh")
    shown = typist.typed("Open the fi")                 # after each keystroke, or after some
    shown = typist.typed("Open the file", paused=True)  # nothing was typed for a while: all of it

The open sentence is translated up to its last complete word; shown is what this translation and the one before both
begin with (local agreement: Liu et al. 2020, arXiv 2005.11185), and the next one begins with that, also the last one. A
sentence that is finished stays. `Way` says what of this is done, `Typist.flicker` what was taken back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from os.path import commonprefix

from ..generation.settings import Settings as Writing
from .sentences import CLOSE_SET, HAN, KANA, Sentence, between, divided
from .translator import LONGER, Translator

BEHIND = 2  # signs at the end of a translation that are not yet kept where two are the same
NO_REPEAT = 3  # tokens in a row that come once: a small model says the same for ever, and two loops agree
HALF = "\ufffd"  # of a sign whose other bytes are not written yet
ENDINGS, CLOSED = ".!?…", "。！？"


@dataclass(frozen=True)
class Way:
    """What is translated and shown while one types; docs/translation.md has what each costs."""

    words: bool = True
    """The open sentence up to its last complete word; else all signs of it."""
    settled: bool = True
    """Only what two translations agreed about, until one pauses; else the whole of the last one."""
    bound: bool = True
    """A finished sentence begins with what was agreed about; else it is translated freely, and may change."""


@dataclass
class State:
    """What a typist knows of a text."""

    finished: dict[str, str] = field(default_factory=dict)
    begun: str = ""
    """What of the open sentence was translated."""
    last: str = ""
    """Its translation."""
    kept: str = ""
    """What the next one begins with."""
    told: str = ""
    """What is shown of it."""
    shown: str = ""
    """What is shown of the whole text."""


@dataclass
class Typist:
    """One text on its way. It belongs to one thread at a time."""

    translator: Translator
    source: str
    target: str
    way: Way = field(default_factory=Way)
    state: State = field(default_factory=State)
    signs: int = 0
    taken_back: int = 0

    @property
    def flicker(self) -> float:
        """Signs that were taken back, over all that were shown."""
        return self.taken_back / max(1, self.signs)

    def typed(self, text: str, paused: bool = False) -> str:
        """The translation of what stands there now. paused: the open sentence as a whole."""
        return list(self.pieces(text, paused))[-1]

    def pieces(self, text: str, paused: bool = False) -> Iterator[str]:
        """The same, with each further sentence when it is ready; at least once."""
        self.translator.asking.check(self.source, self.target)
        parts = divided(text, self.source)
        found = ""
        for number, one in enumerate(parts):
            last = number == len(parts) - 1
            ended = not last or self._ended(one, paused)
            words = self._finished(one.text) if ended else self._open(one.text, one.text + one.space, paused)
            found += words + (between(one.space, self.target) if one.space and not last else "")
            if not last:
                yield found
        self._show(found)
        yield found

    def _ended(self, last: Sentence, paused: bool) -> bool:
        """Whether the last sentence is over. A stop may stand within a name or a number until a space follows."""
        sign = last.text[-1]
        return sign in CLOSED or "\n" in last.space or sign in ENDINGS and (paused or bool(last.space))

    def _show(self, found: str) -> None:
        same = len(commonprefix([self.state.shown, found]))
        self.taken_back += len(self.state.shown) - same
        self.signs += len(found) - same
        self.state.shown = found

    # ---- a finished sentence ----

    def _finished(self, text: str) -> str:
        finished = self.state.finished
        if text not in finished:
            made = finished[text] = self._going_on(text) or self._freely(text)
            kept = self.state.kept if made.startswith(self.state.kept) else ""
            self.state = State(finished, text, made, kept, made, self.state.shown)  # should it go on after all
        return finished[text]

    def _going_on(self, text: str) -> str:
        """The translation that begins as was agreed; "" where that is not wanted or gives none that may stay."""
        begin = self.state.kept
        if not self.way.bound or not begin or not text.startswith(self.state.begun):
            return ""
        made = self._begun_with(text, begin)
        return made if self.translator.sound(text, made) else ""

    def _freely(self, text: str) -> str:
        (made,) = self.translator.sentences([text], self.source, self.target)
        return made.text

    # ---- the open one ----

    def _open(self, text: str, spaced: str, paused: bool) -> str:
        """What is shown of a sentence that is being typed. spaced: with the space behind it."""
        state = self.state
        if paused:
            state.told = state.last if text == state.begun else self._begun_with(text, state.kept)
            return state.told
        ready = complete(spaced, self.source).rstrip() if self.way.words else text
        if ready != state.begun:
            self._go_on(ready)
        return state.told

    def _go_on(self, ready: str) -> None:
        """Translate the sentence anew, and see how far that agrees with the last time."""
        state, grown = self.state, ready.startswith(self.state.begun)
        now = self._begun_with(ready, state.kept if grown else "")
        kept = agreed(state.last, now)
        state.kept = max(kept, state.kept, key=len) if grown and now.startswith(state.kept) else kept
        state.begun, state.last = ready, now
        if not self.way.settled:
            state.told = now
        elif not grown or not state.told.startswith(state.kept):
            state.told = state.kept

    def _begun_with(self, text: str, kept: str) -> str:
        """The likeliest translation that begins so; greedy, since it is asked for at every word."""
        if not text:
            return ""
        backend, asking = self.translator.backend, self.translator.asking
        prompt = asking.prompt(text, self.source, self.target)
        if not hasattr(backend, "engine"):
            (made,) = replace_beams(self.translator).sentences([text], self.source, self.target)
            return made.text
        most = min(LONGER * len(prompt) + 16, backend.config.context - (1 if backend.has_source else len(prompt)))
        if most < 1:
            return kept
        writing = Writing(max_new=most, temperature=0.0, begin=kept, no_repeat=NO_REPEAT)
        return "".join(piece.text for piece in backend.generate(prompt, writing)).strip()


def complete(text: str, language: str) -> str:
    """A text up to the last word to which nothing can be added; each sign of Chinese is one."""
    if language.partition("-")[0] in CLOSE_SET:
        return text
    for end in range(len(text), 0, -1):
        sign = text[end - 1]
        if not sign.isalnum() and sign not in "'’-_" or HAN.match(sign) or KANA.match(sign):
            return text[:end]
    return ""


def agreed(last: str, now: str) -> str:
    """What two translations both begin with, in whole words; of two that are the same the end may still change."""
    size = len(commonprefix([last, now]).partition(HALF)[0])
    if size == len(now):
        size = max(0, size - BEHIND)
    while size and not (_ends_word(last, size) and _ends_word(now, size)):
        size -= 1
    return now[:size].rstrip()


def _ends_word(text: str, at: int) -> bool:
    """Whether no word goes on at this place."""
    if at >= len(text) or any(kind.match(text[at - 1]) or kind.match(text[at]) for kind in (HAN, KANA)):
        return True
    return not (text[at - 1].isalnum() and text[at].isalnum())


def replace_beams(translator: Translator) -> Translator:
    """The same one without a beam search."""
    return Translator(translator.backend, translator.asking, replace(translator.settings, beams=1))
