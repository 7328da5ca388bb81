"""A text -> the words that lexical search knows: `words(text)` of a passage, `sought(question)` of a question.

Lower case, accents and the forms of a letter folded, English endings taken off ("opening" and "open" meet). What is
written without spaces (Chinese, Japanese, Korean, Thai) comes as pairs of neighbours, 开放 放时 时间, and a sign that
stands alone as itself. Both sides are made alike, so that what is folded away is lost to neither. Knows no index.
"""

import re
import unicodedata
from functools import lru_cache

LONGEST = 64  # letters of a word; of longer ones, which nobody types, the beginning
CLOSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff" \
        "\U00020000-\U0003ffff"  # fmt: skip
WORD = re.compile(rf"[{CLOSE}]+|(?:[^\W_{CLOSE}]|[\u0900-\u0dff])+(?:['\u2019](?:s|t|d|m|re|ve|ll)\b)?")
FIRST = re.compile(f"[{CLOSE}]")
MARKS = re.compile("[\u0300-\u036f]")
VOWELS = frozenset("aeiouy")
EMPTY = frozenset(
    "a about an and any are as at be been by can could did do does for from had has have he her his how i if in into "
    "is it its just me my of on or our out s she should so t than that the their them then there these they this those "
    "to up us was we were what when where which who whom whose why will with would you your".split()
)


def words(text: str, language: str = "") -> list[str]:
    """The words of a text, in order, repeated ones too. language: endings stay where it is given and is not English."""
    english = language in ("", "en")
    found: list[str] = []
    for word in WORD.findall(folded(text)):
        if FIRST.match(word):
            found += pairs(word)
            continue
        word = word.partition("'")[0].partition("\u2019")[0][:LONGEST]
        found.append(stem(word) if english else word)
    return found


def sought(question: str) -> list[str]:
    """The different words of a question, without those of no meaning where it has others."""
    full = [word for word in WORD.findall(folded(question)) if word.partition("'")[0] not in EMPTY]
    found = words(" ".join(full)) or words(question)
    return list(dict.fromkeys(found))


def folded(text: str) -> str:
    """The text in lower case; full width, ligatures and accents as their plain letters."""
    if text.isascii():
        return text.lower()
    plain = MARKS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFKC", plain).casefold()


def pairs(run: str) -> list[str]:
    """Each sign with the one behind it; one alone as it is."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """An English word without its ending: -s, -ing, -ed, -ly and a last e; others as they are."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    word = _singular(word)
    for ending in ("ing", "ed", "ly"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 1 and VOWELS & {*rest} and not word.endswith("eed"):
            word = rest
            if ending != "ly" and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    word = word[:-1] if word.endswith("e") and len(word) > 3 else word
    return word[:-1] + "i" if word.endswith("y") and len(word) > 2 and word[-2] not in VOWELS else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
