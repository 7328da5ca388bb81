"""Questions for what an article is about, and the first sentences of its introduction as the answer, as chats."""

import json
import re
from collections.abc import Iterator
from functools import partial

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._pairs import split
from upwell.catalog.corpora.wiki_intros import FILES, PACKAGE

SHARE = 0.03  # of the articles are for measuring
MOST = 300  # characters of an answer
BEGINS = re.compile(r"(?<=[a-zà-ÿ\d)\"'’”»]{2}\.)\s+(?=[A-ZÀ-Ý«“\"¿])")
BEHIND = re.compile(r"\s*\([^)]*\)$")
ASKED = {"en": ("What is {}?", "Who is {}?"), "fr": ("Qu'est-ce que {} ?", "Qui est {} ?"),
         "es": ("¿Qué es {}?", "¿Quién es {}?")}  # fmt: skip
PEOPLE = ("People", "Personnalités", "Personas")


def chats(files: Files, language: str) -> Iterator[Record]:
    """A chat of one turn for each article whose first sentence is short enough; of two with one name the first."""
    seen = set()
    for content in files.values():
        for title, article in json.loads(content).items():
            name, answer = BEHIND.sub("", title.strip()), beginning(article["extract"].strip())
            if answer and name and name not in seen:
                seen.add(name)
                question = ASKED[language][article.get("topic") in PEOPLE].format(name)
                messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
                yield {"messages": messages, "title": title, "label": article.get("topic") or "",
                       "split": split(title, SHARE)}  # fmt: skip


def beginning(text: str) -> str:
    """The first sentences of a text, as many as fit into MOST characters; "" where the first does not."""
    found = ""
    for sentence in BEGINS.split(text.partition("\n")[0]):
        if len(found) + 1 + len(sentence) > MOST:
            break
        found = f"{found} {sentence}".strip()
    return found


def _part(code: str, language: str, sha256: str, holds: str) -> Part:
    return Part(PACKAGE, FILES.format(code), sha256, partial(chats, language=language), holds)


ENTRY = Entry(
    "wiki-questions",
    "questions for what a Wikipedia article is about, with its first sentences as the answer: messages",
    "The text is Wikipedia's, CC BY-SA 4.0: name the source and share alike.",
    {
        "en": _part("en-us", "en", "25de72f92736df17b976b93e68183eb17a34860232051213bd1ef9a5256b7dbf",
                    "9,739 questions"),
        "fr": _part("fr-fr", "fr", "2f5e630ef48cd06fe13fc40f32d304a42f3e534a3ad6032c7736ca07a5399152",
                    "9,273 questions"),
        "es": _part("es-es", "es", "5e799bf802e0e5ea6499535d04b7f961574be187bfdca18f700c19e3e4ef39fb",
                    "5,685 questions"),
    },
)
