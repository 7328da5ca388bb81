"""Who works here (backends and libraries by name), how much at once, and whether the doors are open. Knows no HTTP.

A backend that has `.config` and `.tokenizer` is one of our own; of any other nothing is known but its name.
"""

import time
from collections.abc import Mapping

from upwell.answering.faq_service import Service
from upwell.generation.backend import Backend
from upwell.serving.body import printable
from upwell.serving.library import Library, Sees
from upwell.serving.limits import Slots
from upwell.serving.metrics import Metrics
from upwell.serving.refusals import Refusal
from upwell.translation import asking
from upwell.translation.asking import Asking

HEADS = {"write": ("language",), "embed": ("embed",), "classify": ("classify",)}
WANTED = {
    "write": "writes", "embed": "has embeddings; serve one that was trained for them (upwell recipe embed-en-zh, or "
    "`upwell fetch minilm-l6`)", "classify": "knows labels; serve one that was fine-tuned to them",
}  # fmt: skip


class Desk:
    """The backends of a server; none as long as they are being loaded."""

    def __init__(self, backends: Mapping[str, Backend], slots: Slots, longest: int | None = None,
                 libraries: Mapping[str, Library] | None = None):  # fmt: skip
        self.backends, self.slots, self.longest = dict(backends), slots, longest
        self.libraries = dict(libraries or {})
        self.faq: Service | None = None
        self.origins: frozenset[str] = frozenset()  # of pages whose readers may ask it
        self._asking: dict[int, Asking | None] = {}
        self.metrics, self.opened, self.closing, self.at_work = Metrics(slots.limit), int(time.time()), False, 0

    @property
    def state(self) -> str:
        """loading, ready, stopping, or failed where an engine has ended."""
        if self.closing:
            return "stopping"
        if not (self.backends or self.libraries or self.faq):
            return "loading"
        engines = [backend.engine for backend in self.backends.values() if hasattr(backend, "engine")]
        return "ready" if all(engine.alive for engine in engines) else "failed"

    def open(self, backends: Mapping[str, Backend], libraries: Mapping[str, Library] | None = None,
             faq: Service | None = None) -> None:  # fmt: skip
        """They are loaded."""
        self.libraries.update(libraries or {})
        self.faq = faq
        self.backends.update(backends)

    def find(self, name: str | None, work: str = "write") -> tuple[str, Backend]:
        """The backend of that id, or the first that does such work; a 404 or 400 that says what there is."""
        able = [one for one, backend in self.backends.items() if does(backend, work)]
        if name is None and able:
            return able[0], self.backends[able[0]]
        if name is None:
            raise Refusal(404, f"No model here {WANTED[work]}.", "model", "model_not_found")
        if name == "faq" and self.faq is not None and name not in self.backends:
            raise Refusal(400, "faq is no model but the FAQ, which answers at POST /faq/ask.", "model",
                          "model_not_supported")  # fmt: skip
        if name not in self.backends:
            raise Refusal(
                404,
                f"There is no model '{printable(name[:200])}' here; there is {', '.join(self.backends) or 'none'}.",
                "model",
                "model_not_found",
            )
        if name not in able:
            others = f" {', '.join(able)} can." if able else f" No model here {WANTED[work]}."
            raise Refusal(
                400,
                f"The model '{name}' cannot do that: it was not trained to {work}.{others}",
                "model",
                "model_not_supported",
            )
        return name, self.backends[name]

    def library(self, name: str | None, sees: Sees) -> Library | None:
        """The documents of that id where a key sees any; without an id the first ones, where no model writes."""
        seen = {one: library for one, library in self.libraries.items() if library.is_seen(sees)}
        if name is None and not any(does(backend, "write") for backend in self.backends.values()):
            return next(iter(seen.values()), None)
        return seen.get(name)

    def asking(self, name: str) -> Asking | None:
        """How a model is asked for a translation; None for one whose folder is not known or does not say it."""
        backend = self.backends[name]
        if id(backend) not in self._asking:
            folder = getattr(backend, "folder", None)
            way = asking.of(backend, folder) if folder is not None and does(backend, "write") else None
            self._asking[id(backend)] = way
        return self._asking[id(backend)]

    def context(self, backend: Backend) -> int | None:
        """The most tokens that a text and its prompt may have together; None where that is not known."""
        if not hasattr(backend, "config"):
            return self.longest
        return min(backend.config.context, self.longest or backend.config.context)

    def card(self, name: str) -> dict:
        """What /v1/models says of one model."""
        backend = self.backends[name]
        known = {"max_model_len": self.context(backend)} if self.context(backend) else {}
        can = [work for work in HEADS if does(backend, work)]
        way = self.asking(name)
        can += ["translate"] * bool(way is not None and way.pairs)
        return {"id": name, "object": "model", "created": self.opened, "owned_by": "upwell", **known,
                "capabilities": can}  # fmt: skip

    def library_card(self, library: Library, sees: Sees) -> dict:
        """What /v1/models says of documents that are asked, as far as a key sees them."""
        return {"id": library.name, "object": "model", "created": self.opened, "owned_by": "upwell",
                "capabilities": ["answers"], "answers": library.how, "collections": library.collections(sees),
                "documents": len(library.documents(library.chosen(sees, None)))}  # fmt: skip

    def faq_card(self) -> dict:
        """What /v1/models says of an FAQ."""
        return {"id": "faq", "object": "model", "created": self.opened, "owned_by": "upwell", "capabilities": ["faq"],
                "entries": len(self.faq.matcher.entries)}  # fmt: skip


def does(backend: Backend, work: str) -> bool:
    """Whether a backend writes, embeds or classifies; a server behind us may do the first two."""
    if hasattr(backend, "config"):
        return backend.config.head.kind in HEADS[work] and (work != "write" or backend.config.shape != "encoder")
    return work != "classify"
