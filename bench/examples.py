"""The small made-up data sets of docs/finetune.md, one file a task: python bench/examples.py FOLDER

reviews.csv (a label), topics.jsonl (several labels), stars.csv (a number), names.jsonl (tags), answers.jsonl (spans),
pairs.tsv (pairs to write), chats.jsonl (chats), search.jsonl (texts that belong together). All of them come from the
same few words and a fixed seed, so that they are the same everywhere.
"""

import csv
import json
import random
import sys
from pathlib import Path

GOOD = "wonderful lovely delightful superb charming fine".split()
BAD = "dreadful dull awful tedious poor clumsy".split()
THINGS = "film book meal hotel concert play museum walk".split()
WHEN = "in May,in June,in March,last week,yesterday,on Sunday,this morning,again".split(",")
PEOPLE = "Anna Weber,Tom Li,Maria Rossi,Jan Novak,Ines Costa,Paul Martin,Mei Chen,Omar Haddad".split(",")
TOWNS = "Lisbon,Berlin,Vienna,Porto,Shanghai,Prague,Milan,Cairo".split(",")
TOPICS = {"water": "river lake rain harbour".split(), "birds": "heron swan owl crane".split(),
          "stone": "bridge mill tower wall".split(), "light": "dawn lamp moon star".split()}  # fmt: skip
CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Austria": "Vienna", "Egypt": "Cairo",
            "Japan": "Tokyo", "Peru": "Lima", "Norway": "Oslo", "Kenya": "Nairobi", "Cuba": "Havana"}  # fmt: skip


def reviews(r: random.Random) -> list[tuple]:
    """(text, positive or negative)."""
    rows = []
    for _ in range(200):
        label, words = r.choice((("positive", GOOD), ("negative", BAD)))
        one, other = r.sample(words, 2)
        rows.append((f"The {r.choice(THINGS)} was {one} and {other} {r.choice(WHEN)}.", label))
    return rows


def stars(r: random.Random) -> list[tuple]:
    """(text, a number from 0.0 to 5.0): the share of good words."""
    rows = []
    for _ in range(200):
        good = r.randint(0, 4)
        words = r.sample(GOOD, good) + r.sample(BAD, 4 - good)
        r.shuffle(words)
        rows.append((f"The {r.choice(THINGS)} {r.choice(WHEN)}: {', '.join(words)}.", good * 1.25))
    return rows


def topics(r: random.Random) -> list[dict]:
    """Texts about none, one or two of four topics."""
    rows = []
    for _ in range(240):
        chosen = sorted(r.sample(list(TOPICS), r.randint(1, 2)))
        words = [f"a {r.choice(TOPICS[one])}" for one in chosen]
        rows.append({"text": f"{' and '.join(words)} near {r.choice(TOWNS)} {r.choice(WHEN)}", "labels": chosen})
    return rows


def names(r: random.Random) -> list[dict]:
    """Words with B-, I- and O tags of people and towns."""
    rows = []
    for _ in range(200):
        person, town = r.choice(PEOPLE).split(), r.choice(TOWNS)
        words = [*person, r.choice(("went", "came", "wrote")), "to", town, *r.choice(WHEN).split(), "."]
        tags = ["B-PER", "I-PER", "O", "O", "B-LOC"]
        rows.append({"tokens": words, "ner_tags": tags + ["O"] * (len(words) - len(tags))})
    return rows


def answers(r: random.Random) -> list[dict]:
    """Questions about a sentence; one in eight is not answered by it."""
    rows = []
    for number in range(240):
        person, town, when = r.choice(PEOPLE), r.choice(TOWNS), r.choice(WHEN)
        context = f"{person} went to {town} {when} with book {number}."
        question, answer = r.choice(((f"Where did {person} go with book {number}?", town),
                                     (f"Who took book {number}?", person)))  # fmt: skip
        if number % 8 == 0:
            question, answer = f"What did book {number} cost?", ""
        rows.append({"question": question, "context": context, "answers": [answer] if answer else []})
    return rows


def pairs(r: random.Random) -> list[tuple]:
    """(a sentence, the same said shortly)."""
    rows = set()
    while len(rows) < 120:
        person, town, when = r.choice(PEOPLE), r.choice(TOWNS), r.choice(WHEN)
        rows.add((f"{person} went to {town} {when}.", f"{person.split()[0]} -> {town}"))
    return sorted(rows)


def chats(r: random.Random) -> list[dict]:
    """Short questions with answers in one manner: a capital and a full stop."""
    rows = []
    for _ in range(120):
        country, city = r.choice(list(CAPITALS.items()))
        asked = r.choice(("What is the capital of {}?", "Which city governs {}?", "Name the capital of {}."))
        said = [{"role": "user", "content": f"{asked.format(country)} ({r.choice(WHEN)})"},
                {"role": "assistant", "content": f"Captain, it is {city}."}]  # fmt: skip
        rows.append({"messages": said})
    return rows


def search(r: random.Random) -> list[dict]:
    """What a shop calls its things in words of its own, and what is meant: a vocabulary that no model knows."""
    codes = [dict(zip(words, names.split(), strict=True)) for words, names in (
        (THINGS, "kinora libra manga dorma sonda ludi arka vanda"), (PEOPLE, "ado beri cilo dafu enko figo galu hemi"),
        (TOWNS, "pelu ruzo sima tavo urbi voxa wemi zolu"))]  # fmt: skip
    every = [(thing, person, town) for thing in THINGS for person in PEOPLE for town in TOWNS]
    rows = []
    for three in r.sample(every, 300):
        anchor = " ".join(code[word] for code, word in zip(codes, three, strict=True))
        rows.append({"anchor": anchor, "positive": f"{three[1]} wrote about a {three[0]} in {three[2]}."})
    return rows


def main(folder: Path) -> None:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make, head in (("reviews.csv", reviews, ("text", "label")), ("stars.csv", stars, ("text", "label"))):
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *make(random.Random(1))])
    with open(folder / "pairs.tsv", "w", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in [("source", "target"), *pairs(random.Random(1))])
    for make in (topics, names, answers, chats, search):
        with open(folder / f"{make.__name__}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in make(random.Random(1)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "examples"))
