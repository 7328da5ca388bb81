"""A text that is still being typed: what stands in the translation already changes as little as may be.

    typist = Typist(translator, "en", "zh")
    shown = typist.typed("Open the fi")         # after each keystroke, or after some

Sentences that are finished are translated once and stay. The one that is being typed is translated anew, but begins as
the last two translations of its beginnings agreed (local agreement: Liu et al. 2020, arXiv 2005.11185): what both said
is kept, so that words do not flicker while one reads. `Typist.flicker` is the share of shown signs that were later
taken back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from os.path import commonprefix

from ..generation.settings import Settings as Writing
from .sentences import between, divided
from .translator import LONGER, Translator

BEHIND = 2  # tokens' worth of signs at the end of what two translations agree about that are not yet kept
ENDINGS = ".!?。！？…\n"


@dataclass
class Typist:
    """One text on its way. It belongs to one thread at a time."""

    translator: Translator
    source: str
    target: str
    finished: dict[str, str] = field(default_factory=dict)
    last: str = ""
    """The last translation of the sentence that is being typed."""
    begun: str = ""
    """The sentence of which `last` is the translation."""
    kept: str = ""
    """What its translation begins with from now on."""
    shown: str = ""
    signs: int = 0
    taken_back: int = 0

    @property
    def flicker(self) -> float:
        """Signs that were taken back, over all that were shown."""
        return self.taken_back / max(1, self.signs)

    def typed(self, text: str) -> str:
        """The translation of all that stands there now."""
        return list(self.pieces(text))[-1]

    def pieces(self, text: str) -> Iterator[str]:
        """The same, with each further sentence when it is ready; at least once."""
        self.translator.asking.check(self.source, self.target)
        parts = divided(text, self.source)
        found = ""
        for number, one in enumerate(parts):
            ended = number < len(parts) - 1 or one.text[-1] in ENDINGS
            words = self._finished(one.text) if ended else self._open(one.text)
            found += words + (between(one.space, self.target) if one.space and number < len(parts) - 1 else "")
            if number < len(parts) - 1:
                yield found
        if not parts or parts[-1].text[-1] in ENDINGS:
            self.last = self.begun = self.kept = ""
        same = len(commonprefix([self.shown, found]))
        self.taken_back += len(self.shown) - same
        self.signs += len(found) - same
        self.shown = found
        yield found

    def _finished(self, text: str) -> str:
        if text not in self.finished:
            (made,) = self.translator.sentences([text], self.source, self.target)
            self.finished[text] = made.text
        return self.finished[text]

    def _open(self, text: str) -> str:
        """The sentence that is being typed."""
        if not text.startswith(self.begun[: len(text)]) and not self.begun.startswith(text):
            self.last = self.kept = ""  # another sentence, or one that was changed at its beginning
        if len(text) < len(self.begun):
            self.kept = ""  # taken back
        if text == self.begun:
            return self.last
        now = self._begun_with(text, self.kept)
        agreed = commonprefix([self.last, now])
        self.kept = _whole(agreed, now) if len(text) > len(self.begun) else ""
        self.begun, self.last = text, now
        return now

    def _begun_with(self, text: str, kept: str) -> str:
        """The likeliest translation that begins so; greedy, since it is asked for at every keystroke."""
        backend, asking = self.translator.backend, self.translator.asking
        prompt = asking.prompt(text, self.source, self.target)
        if not hasattr(backend, "engine"):
            (made,) = replace_beams(self.translator).sentences([text], self.source, self.target)
            return made.text
        most = min(LONGER * len(prompt) + 16, backend.config.context - (1 if backend.has_source else len(prompt)))
        if most < 1:
            return kept
        writing = Writing(max_new=most, temperature=0.0, begin=kept)
        return "".join(piece.text for piece in backend.generate(prompt, writing)).strip()


def _whole(agreed: str, now: str) -> str:
    """What is kept of what two translations agree about: whole words, but not the last, which may still go on."""
    if agreed == now:
        agreed = agreed[: max(0, len(agreed) - BEHIND)]
    cut = max(agreed.rfind(" "), *(number for number, sign in enumerate(agreed) if "\u2e80" <= sign <= "\uffef"), -1) \
        if agreed else -1  # fmt: skip
    return agreed[: cut + 1] if cut >= 0 and agreed[cut] != " " else agreed[: max(cut, 0)]


def replace_beams(translator: Translator) -> Translator:
    """The same one without a beam search."""
    return Translator(translator.backend, translator.asking, replace(translator.settings, beams=1))
