"""The peers of bench/finetune.py: the usual scripts of transformers, peft and sentence-transformers on given examples.

Contract: each function trains a few steps from a folder (or a config) and gives back {"speed": real tokens a second
after the warm-up} and the trained model; real tokens are those that are no padding. `held_out` measures a model of
either side on the same texts. It knows nothing of upwell; `kit` is the package whose Trainer is asked.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from peers_train import Clock, Counting, config, speed
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5ForConditionalGeneration,
    Trainer,
    TrainingArguments,
)

RATE = {"learning_rate": 5e-5}


# ---- examples ----


def labelled(folder: str, texts: list[str], labels: list[int]) -> list[dict]:
    """Texts as the usual script cuts them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [{**tokenizer(text, truncation=True), "labels": label} for text, label in zip(texts, labels, strict=True)]


def translated(folder: str, pairs: list[tuple[str, str]]) -> list[dict]:
    """Sources and targets, each with the token that ends it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [[tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for text in pair]
           for pair in pairs]  # fmt: skip
    return [{"input_ids": a, "attention_mask": [1] * len(a), "labels": b} for a, b in ids]


def chats(folder: str, messages: list[list[dict]], longest: int) -> list[dict]:
    """Chats by the folder's template, learnt at the last answer alone."""
    tokenizer, found = AutoTokenizer.from_pretrained(folder), []
    for one in messages:
        told = tokenizer.apply_chat_template(one[:-1], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(tokenizer.apply_chat_template(one, tokenize=False).rstrip("\n"))["input_ids"][:longest]
        asked = len(tokenizer(told)["input_ids"])
        found.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * asked + ids[asked:]})
    return found


# ---- training ----


def topics(folder: str, examples: list[dict], count: int, rows: int, steps: int) -> tuple[float, Any]:
    """The usual script: a classifier with its defaults."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=count)
    collator = Counting(DataCollatorWithPadding(AutoTokenizer.from_pretrained(folder)), ("attention_mask",))
    return speed(Trainer, model, examples, collator, TrainingArguments, rows, steps, **RATE), model


def unchanged(kit, folder: str, examples: list[dict], count: int, rows: int, steps: int, out: str) -> float:
    """The same script with the classes of another package: real tokens a second of all its steps; writes a folder."""
    tokenizer = kit.AutoTokenizer.from_pretrained(folder)
    model = kit.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=count)
    args = kit.TrainingArguments(output_dir=out, max_steps=steps, per_device_train_batch_size=rows, report_to=[],
                                 save_strategy="no", disable_tqdm=True, use_cpu=True)  # fmt: skip
    trainer = kit.Trainer(model=model, args=args, train_dataset=examples, processing_class=tokenizer)
    trainer.train()
    trainer.save_model(out)
    return trainer.loop.tokens / trainer.loop.seconds


def translation(hf: dict, folder: str, examples: list[dict], rows: int, steps: int, rate: float) -> tuple[float, Any]:
    """An encoder-decoder from scratch."""
    model = T5ForConditionalGeneration(config(hf))
    collator = Counting(DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(folder), model=model),
                        ("attention_mask", "labels"))  # fmt: skip
    found = speed(Seq2SeqTrainer, model, examples, collator, Seq2SeqTrainingArguments, rows, steps, learning_rate=rate)
    return found, model


def adapted(folder: str, examples: list[dict], rank: int, rows: int, steps: int, rate: float) -> tuple[float, Any]:
    """Low-rank adapters on every matrix of the blocks."""
    from peft import LoraConfig, get_peft_model

    tokenizer = AutoTokenizer.from_pretrained(folder)
    told = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), told)
    collator = Counting(DataCollatorForSeq2Seq(tokenizer), ("attention_mask",))
    return speed(Trainer, model, examples, collator, TrainingArguments, rows, steps, learning_rate=rate), model


def embeddings(folder: str, pairs: list[tuple[str, str]], rows: int, steps: int) -> tuple[float, Any]:
    """Pairs against all others of the batch, one way."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model, clock = SentenceTransformer(folder, device="cpu"), Clock()
    data = Dataset.from_dict({"anchor": [a for a, _ in pairs], "positive": [b for _, b in pairs]})
    with tempfile.TemporaryDirectory() as out:
        told = SentenceTransformerTrainingArguments(
            output_dir=out, max_steps=steps, per_device_train_batch_size=rows, report_to=[], save_strategy="no",
            disable_tqdm=True, use_cpu=True, **RATE)  # fmt: skip
        trainer = SentenceTransformerTrainer(model, told, train_dataset=data, callbacks=[clock],
                                             loss=MultipleNegativesRankingLoss(model))  # fmt: skip
        collator = trainer.data_collator = CountingPairs(trainer.data_collator)
        trainer.train()
    return sum(collator.counts[2:steps]) / (clock.times[-1] - clock.times[1]), model


class CountingPairs:
    """A collator of sentence-transformers, with the real tokens of each batch."""

    def __init__(self, collator):
        self.collator, self.counts = collator, []

    def __getattr__(self, name: str):
        return getattr(self.collator, name)

    def __call__(self, examples):
        batch = self.collator(examples)
        self.counts.append(sum(int(value.sum()) for name, value in batch.items() if name.endswith("attention_mask")))
        return batch


# ---- measuring ----


@torch.no_grad()
def held_out(kind: str, model, folder: str, examples: list) -> dict:
    """{"loss"} of held-out examples, mean of what is asked, and {"accuracy"} where labels or partners are asked."""
    model.eval()
    if kind == "embeddings":
        left, right = (model.encode(list(side), convert_to_tensor=True, normalize_embeddings=True)
                       for side in zip(*examples, strict=True))  # fmt: skip
        scores, answers = left @ right.T / 0.05, torch.arange(len(left))
    else:
        padded = DataCollatorWithPadding if kind == "topics" else DataCollatorForSeq2Seq
        collator, total, asked, right = padded(AutoTokenizer.from_pretrained(folder)), 0.0, 0, 0
        for first in range(0, len(examples), 16):
            batch = collator(examples[first : first + 16])
            given = model(**batch)
            count = len(batch["labels"]) if kind == "topics" else int((batch["labels"] != -100).sum())
            if kind == "chats":
                count = int((batch["labels"][:, 1:] != -100).sum())
            total, asked = total + float(given.loss) * count, asked + count
            right += int((given.logits.argmax(-1) == batch["labels"]).sum()) if kind == "topics" else 0
        return {"loss": total / asked} | ({"accuracy": right / asked} if kind == "topics" else {})
    loss = torch.nn.functional.cross_entropy(scores, answers)
    return {"loss": float(loss), "accuracy": float((scores.argmax(1) == answers).float().mean())}
