"""Folders that upwell pretrained, and examples of two topics."""

import json
import random

from tests.verbs import folders
from upwell.cli import main
from upwell.model import hub, preset
from upwell.model.sizes import Sizes

STEPS = ["--training.steps", "4", "--training.precision", "float32", "--evaluations", "0"]


def pretrained(root, objective):
    """The folder of a tiny model, by the command."""
    made = folders.wordpiece() if objective == "masked" else folders.bpe()
    data = folders.folder(root / f"{objective}-text", folders.plain, made)
    more = [] if objective == "masked" else ["--model.family", "gpt2"]
    words = ["pretrain", str(data), "--objective", objective, "--out", str(root / objective)]
    assert main([*words, *folders.SMALL, *STEPS, *more]) == 0
    return root / objective


def small(path, family="bert", dropout=0.0):
    """A folder of a tiny model with its first weights."""
    tokenizer = folders.wordpiece() if family == "bert" else folders.bpe()
    ids = {name: id for name, id in (("pad", tokenizer.special.get("[PAD]", tokenizer.end)),)}
    sizes = Sizes(family=family, width=16, layers=2, heads=2, dropout=dropout)
    config = preset.config(sizes, tokenizer.vocab_size, 64, tokenizer.end, ids)
    return hub.save(hub.Checkpoint(preset.create(config, 1), tokenizer, config), path)


def topics(count, seed=3):
    """Texts with the label 0 or 1, which one of their words tells."""
    r = random.Random(seed)
    found = [folders.label(r) for _ in range(count)]
    return [{"text": one.text, "label": int(one.label == "yes")} for one in found]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
