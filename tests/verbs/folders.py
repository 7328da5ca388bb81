"""Prepared folders of made-up documents, written without the reading and cleaning of `upwell prepare`."""

import json
import random

from upwell.text import Document, blocks
from upwell.text.chat import Template
from upwell.tokens import kinds, markers, store
from upwell.tokens.tokenizer import train

WORDS = "the river runs under old bridges and past quiet mills where grey herons wait for silver fish at dawn".split()
GOOD, BAD = "good fine lovely great".split(), "bad poor awful dull".split()
TINY = ["--training.context", "32", "--training.rows", "4", "--training.compile", "off", "--samples", "0"]
SMALL = [*TINY, "--model.width", "32", "--model.layers", "2", "--model.heads", "2"]


def sentence(r, count=8):
    return " ".join(r.choices(WORDS, k=count))


def plain(r):
    return Document(". ".join(sentence(r).capitalize() for _ in range(3)) + ".", "made")


def label(r):
    kind = r.choice(("no", "yes"))
    text = " ".join([*r.choices(GOOD if kind == "yes" else BAD, k=3), sentence(r, 4)])
    return Document(text, "made", label=kind, fields={"task": "label", "text": text, "label": kind})


def chat(r):
    word = r.choice(WORDS)
    said = [{"role": "user", "content": f"Say {word}"}, {"role": "assistant", "content": word}]
    return Document(f"Say {word}\n{word}", "made", fields={"task": "chat", "messages": said}, kind="dialogue")


def pair(r):
    words = r.choices(WORDS, k=3)
    fields = {"task": "pair", "source": " ".join(words), "target": " ".join(reversed(words)), "source_language": "",
              "target_language": ""}  # fmt: skip
    return Document("\n".join((fields["source"], fields["target"])), "made", fields=fields)


def answer(r):
    text = sentence(r, 8)
    fields = {"task": "answer", "question": "Which word is last?", "context": text, "answers": [text.split()[-1]]}
    return Document(text, "made", fields=fields)


def tags(r):
    tokens = r.choices(WORDS, k=6)
    names = ["B-ANIMAL" if word in ("herons", "fish") else "O" for word in tokens]
    return Document(" ".join(tokens), "made", fields={"task": "tag", "tokens": tokens, "tags": names})


def wordpiece():
    return kinds.train([plain(random.Random(n)).text + " Say Which word is last ?" for n in range(80)],
                       kinds.Wanted(320, "wordpiece"))  # fmt: skip


def bpe(special=()):
    return train([plain(random.Random(n)).text for n in range(80)], 320, special=special)


def folder(path, make, tokenizer, template=None, counts=(48, 12), seed=1):
    """Write a prepared folder of documents by `make`, and give its path."""
    r = random.Random(seed)
    tokenizer.save(path)
    if template:
        template.save(path)
    tasks, every = {}, 0
    for name, count in zip(("train", "heldout"), counts, strict=True):
        documents = [make(r) for _ in range(count)]
        (path / f"{name}.jsonl").write_bytes(b"".join(map(blocks.line_of, documents)))
        size = sum(len(one.text.encode()) for one in documents)
        ids = tokenizer.encode_batch([one.text for one in documents])
        store.write(path / name, ids, tokenizer.vocab_size, tokenizer.end, size, tokenizer.hash)
        every += count
        for one in documents:
            if one.fields:
                tasks[one.fields["task"]] = tasks.get(one.fields["task"], 0) + 1
    written = Template.load(path).hash if template else ""
    said = {"tasks": tasks, "kinds": {"prose": every}, "template": written, "key": f"{seed}"}
    (path / "manifest.json").write_text(json.dumps(said))
    return path


def chats(path):
    """A prepared folder of chats with the template that writes them."""
    return folder(path, chat, bpe(markers.CHAT), markers.template())
