"""What the steps of preparation cost and what they do to healthy text, on the corpora of `upwell fetch`.

    python bench/steps.py                          speed on one core, and what is dropped or changed of healthy text
    python bench/steps.py --messages FOLDER        also languages: FOLDER holds .po files as Django ships them
                                                   (LANGUAGE/LC_MESSAGES/django.po), joined to texts of three lengths
    python bench/steps.py --manuals /usr/share/doc also which manuals of a folder (.txt, .md, README ...) go, and why

Speeds are of one process on documents as they come (about 500 bytes each) and joined to documents of 8 kB; process
time, the best of three passes.
"""

import argparse
import json
import platform
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from upwell import catalog
from upwell.text import Document, Dropped, signatures
from upwell.text.steps import decontaminate, language, length, quality, repair

CORPORA = (
    ("wiki-intros", "en", "prose"), ("wiki-intros", "fr", "prose"), ("wiki-intros", "es", "prose"),
    ("chinese-poetry", "zh", "prose"), ("python", "en", "code"),
)  # fmt: skip
LONG = 8_000
SAME = {"nb": "no", "en": "en", "zh_Hans": "zh-Hans", "zh_Hant": "zh-Hant"}
GREAT = "en fr es pt pt_BR de it nl ru zh_Hans zh_Hant ja ko ar pl tr vi uk cs sv fi hu ro el he th id fa hi".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=Path)
    parser.add_argument("--manuals", type=Path)
    args = parser.parse_args()
    print(f"{date.today()}, {platform.processor() or platform.machine()}, one process")
    for name, code, kind in CORPORA:
        documents = list(_documents(name, code, kind))
        if not documents:
            print(f"{name} {code}: not there; upwell fetch {name} --lang {code}")
            continue
        _speeds(f"{name} {code}", documents)
        _healthy(documents)
    if args.messages:
        _languages(args.messages)
    if args.manuals:
        _manuals(args.manuals)


def _documents(name: str, code: str, kind: str) -> Iterator[Document]:
    for path in sorted((catalog.cache_folder() / name).glob(f"{code}-*.jsonl")):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                known = {"zh": "zh-Hans"}.get(code, code)
                yield Document(json.loads(line)["text"], f"{path.name}:{number}", kind=kind, language=known)


def _joined(documents: list[Document]) -> list[Document]:
    joined, size, texts = [], 0, []
    for document in documents:
        texts.append(document.text)
        size += len(document.text)
        if size >= LONG:
            joined.append(Document("\n\n".join(texts), document.source, kind=document.kind, language=document.language))
            size, texts = 0, []
    return joined


def _steps(documents: list[Document]) -> dict[str, Callable]:
    tell = language.teller()
    planted = Path("bench", "look_alikes.jsonl")
    steps = {
        "repair": repair.step(repair.Settings()),
        "language": lambda document: tell(document.text),
        "quality": quality.step(quality.Settings()),
        "length": length.step(length.Settings()),
        "signatures": lambda document: signatures.lines(signatures.units([document.text])),
    }
    if planted.is_file():
        steps["decontaminate"] = decontaminate.step(decontaminate.Settings(against=(planted,)))
    return steps


def _speeds(name: str, documents: list[Document]) -> None:
    for what, chosen in (("as they come", documents), (f"of {LONG:,} characters", _joined(documents))):
        size = sum(len(document.text.encode()) for document in chosen)
        rates = {step: size / _seconds(run, chosen) / 1e6 for step, run in _steps(documents).items()}
        print(f"{name}, {what}: " + ", ".join(f"{step} {rate:.0f} MB/s" for step, rate in rates.items()))


def _seconds(run: Callable, documents: list[Document]) -> float:
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        for document in documents:
            run(document)
        best = min(best, time.process_time() - begin)
    return best


def _healthy(documents: list[Document]) -> None:
    mend, judge, tell = repair.step(repair.Settings()), quality.step(quality.Settings()), language.teller()
    mended = sum("mojibake repaired" in dict(mend(document).changes) for document in documents)
    dropped = Counter(found.reason for found in map(judge, documents) if isinstance(found, Dropped))
    print(f"    {len(documents):,} documents: {mended} mended, {sum(dropped.values())} dropped {dict(dropped) or ''}")
    if documents[0].kind == "prose":
        right = sum(tell(document.text) == document.language for document in documents)
        print(f"    language right: {right / len(documents):.4f}")


def _manuals(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _manual(path)]
    texts = [Document(path.read_text("utf-8", errors="replace"), str(path), language="en") for path in files]
    dropped = [found for found in map(quality.step(quality.Settings()), texts) if isinstance(found, Dropped)]
    print(f"{folder}: {len(texts):,} texts, {len(dropped)} dropped")
    for one in dropped:
        print(f"    {one.document.source}: {one.reason}, {one.detail}")


def _manual(path: Path) -> bool:
    return path.suffix in (".txt", ".md") or path.name == "copyright" or path.stem == "README" and path.suffix != ".gz"


# ---- languages, on the messages of a program in many of them ----


def _languages(folder: Path) -> None:
    texts = defaultdict(list)
    for path in sorted(folder.rglob("LC_MESSAGES/django.po")):
        texts[path.parts[-3]] += _messages(path.read_text(encoding="utf-8"))
    tell = language.teller()
    for size in (60, 200, 500):
        found = {code: [tell(text) for text in _texts_of(messages, size)] for code, messages in texts.items()}
        every, great = _share(found, set(found)), _share(found, set(GREAT))
        print(f"texts of {size} characters: {every} of {len(found)} languages; {great} of the {len(GREAT)} great ones")


def _messages(content: str) -> Iterator[str]:
    for match in re.finditer(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n)+)', content, re.MULTILINE):
        source, target = ("".join(map(json.loads, part.strip().split("\n"))) for part in match.groups())
        if source and target not in ("", source) and len(target) >= 25:
            yield re.sub(r"%\(\w+\)s|%[sd]", "", target).strip()


def _texts_of(messages: list[str], size: int) -> Iterator[str]:
    text = ""
    for message in messages:
        text += message + "\n"
        if len(text) >= size:
            yield text
            text = ""


def _share(found: dict[str, list[str]], codes: set[str]) -> str:
    right = unknown = total = 0
    for code in codes & set(found):
        wanted = SAME.get(code, code.partition("_")[0])
        right += sum(one == wanted for one in found[code])
        unknown += sum(one == "und" for one in found[code])
        total += len(found[code])
    return f"{right / total:.3f} right, {unknown / total:.3f} undetermined, {total:,} texts"


if __name__ == "__main__":
    main()
