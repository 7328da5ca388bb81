"""A file of questions and answers -> the service that answers customers: what `upwell faq` and `upwell serve` share.

    counter = Counter(customers, entries)       # entries = read(file); before any model is loaded
    service = counter.open(opened)              # opened(folder) -> a backend: one that is there already, or a new one
    counter.close()

Imports nothing heavy before it opens.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from upwell import terminal
from upwell.errors import SettingsError

USUAL = "minilm-l6"


@dataclass(frozen=True)
class Customers:
    """What is done for customers beside answering."""

    faq_encoder: str = "auto"
    """The model that gives vectors to the FAQ's questions: a folder, a fetched name, or none (words alone). auto:
    minilm-l6, where it was fetched."""
    faq_log: Path | None = None
    """The log of questions that were not answered; default: beside the FAQ, its name with .misses.sqlite."""
    faq_translator: Path | None = None
    """A model that translates questions in other languages into the FAQ's, as `upwell recipe translate-en-zh` makes."""
    contact: str = ""
    """What is said beside "I don't have an answer", for example "Call 555-0100."."""
    webhook: str | None = None
    """An address of yours that gets an event (JSON by POST), once a conversation, where a person is needed."""
    webhook_secret_file: Path | None = None
    """A file with the secret that signs the events (X-Upwell-Signature)."""
    widget_origins: tuple[str, ...] = ()
    """Sites whose pages may ask the FAQ without a key, as https://www.example.com; /widget.js is for them."""
    widget_rate: int = 20
    """Questions that one address among their readers may ask in a minute."""


def check(settings: Customers, served: bool) -> None:
    """SettingsError for what does not go together. served: whether there is an FAQ."""
    given = [one.name for one in fields(Customers) if getattr(settings, one.name) != one.default]
    if given and not served:
        raise SettingsError(f"--{given[0].replace('_', '-')} goes with --faq; name the file of questions and answers")
    if settings.webhook_secret_file is not None and settings.webhook is None:
        raise SettingsError("--webhook-secret-file signs the events of --webhook; name the address, too")
    if not 1 <= settings.widget_rate <= 10_000:
        raise SettingsError(f"widget_rate is {settings.widget_rate}, expected 1 to 10,000")


def read(file: Path) -> list:
    """The entries of a file; what is passed over in it is told."""
    from upwell.answering import faq_entries

    return faq_entries.read(file, terminal.warn)


class Counter:
    """What serves customers, and what it holds open."""

    def __init__(self, settings: Customers, file: Path, entries: list):
        from upwell.answering import faq_handover

        self.settings, self.file, self.entries, self.service = settings, file, entries, None
        self.secret = secret_of(settings.webhook_secret_file)
        if settings.webhook is not None:
            faq_handover.check(settings.webhook)
        self.folder = encoder_of(settings.faq_encoder)

    def open(self, opened: Callable[[Path], object]):
        """The service. opened: the folder of a model -> its backend."""
        from upwell.answering.faq import Matcher
        from upwell.answering.faq_handover import Webhook
        from upwell.answering.faq_misses import Misses
        from upwell.answering.faq_service import Service
        from upwell.answering.faq_waiting import Waiting

        settings = self.settings
        encoder = None if self.folder is None else opened(self.folder)
        translate = None if settings.faq_translator is None else translating(
            settings.faq_translator, opened, language_of(self.entries))  # fmt: skip
        matcher = Matcher(self.entries, encoder, translate=translate)
        hook = None
        if settings.webhook is not None:
            hook = Webhook(settings.webhook, self.secret, waiting=Waiting(self.events))
        self.service = Service(matcher, Misses(self.log), hook, settings.contact)
        return self.service

    @property
    def log(self) -> Path:
        """Where misses are kept."""
        return self.settings.faq_log or self.file.with_name(f"{self.file.stem}.misses.sqlite")

    @property
    def events(self) -> Path:
        """Where events wait that were not taken yet."""
        return self.log.with_suffix(".waiting")

    def close(self) -> None:
        """Put away what was opened."""
        if self.service is not None:
            self.service.close()


def secret_of(file: Path | None) -> str:
    """What a file with a secret holds; "" for no file."""
    if file is None:
        return ""
    try:
        found = file.read_text(encoding="utf-8-sig").strip()  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--webhook-secret-file {file} can't be read ({error}); name a text file that holds the "
                            "secret") from None  # fmt: skip
    if not found:
        raise SettingsError(f"--webhook-secret-file {file} is empty; expected a secret")
    return found


def encoder_of(given: str) -> Path | None:
    """The folder or name of the encoder; None for words alone, which is told where nobody asked for it."""
    from upwell import weights

    if given != "auto":
        return None if given == "none" else Path(given)
    if not weights.place_of(USUAL).is_dir():
        terminal.note(f"Matched by words alone; `upwell fetch {USUAL}` brings a model that finds more of what is said "
                      "in other words.")  # fmt: skip
        return None
    return Path(USUAL)


def language_of(entries: list) -> str:
    """The language of most of the questions: as the file says it, zh by its signs, else as they look."""
    from upwell.answering.faq import is_han
    from upwell.translation.sentences import guessed

    said = [entry.language for entry in entries if entry.language]
    if said:
        return max(set(said), key=said.count).partition("-")[0].lower()
    if sum(is_han(entry.question) for entry in entries) * 2 > len(entries):
        return "zh"
    return guessed("\n".join(entry.question for entry in entries[:200])).language


def translating(given: Path, opened: Callable[[Path], object], language: str) -> Callable[[str], str]:
    """A function: a question -> it in the FAQ's language; "" where it is in that, or in one that is not known."""
    from upwell.translation import asking
    from upwell.translation.sentences import guessed
    from upwell.translation.translator import Translator
    from upwell.verbs._models import model_folder

    backend = opened(given)
    way = asking.of(backend, model_folder(given))
    known = {source for source, target in way.pairs if target == language}
    if not known:
        raise SettingsError(f"{given} does not translate into {language}, the language of the "
                            "questions; name one that does")  # fmt: skip
    translator = Translator(backend, way)

    def translate(question: str) -> str:
        guess = guessed(question)
        if guess.language not in known or guess.probability < 0.7:
            return ""
        return translator.texts([question], guess.language, language)[0].text

    return translate
