"""The peers of bench/train.py: transformers' Trainer with the collators that its users take, on prepared examples.

Contract: each function trains a few steps of a model built from the given config.json and gives back real tokens a
second after the warm-up; real tokens are those that are no padding, of source and target. It knows nothing of upwell.
"""

from __future__ import annotations

import random
import re
import tempfile
import time

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertForPreTraining,
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    GPT2LMHeadModel,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5ForConditionalGeneration,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **others) -> None:
        self.times.append(time.perf_counter())


class Counting:
    """A collator that counts the real tokens of each batch."""

    def __init__(self, collator, fields: tuple[str, ...]):
        self.collator, self.fields, self.counts = collator, fields, []

    def __call__(self, examples):
        batch = self.collator(examples)
        self.counts.append(sum(int(batch[field].ne(-100).sum() if field == "labels" else batch[field].sum())
                               for field in self.fields))  # fmt: skip
        return batch


def speed(trainer, model, examples: list[dict], collator: Counting, arguments, rows: int, steps: int,
          learning_rate: float = 5e-5) -> float:  # fmt: skip
    """Real tokens a second from the third step on."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        told = arguments(output_dir=folder, max_steps=steps, per_device_train_batch_size=rows, report_to=[],
                         save_strategy="no", disable_tqdm=True, use_cpu=True, learning_rate=learning_rate)  # fmt: skip
        trainer(model, told, train_dataset=examples, data_collator=collator, callbacks=[clock]).train()
    return sum(collator.counts[2:steps]) / (clock.times[-1] - clock.times[1])


def config(hf: dict):
    """The config of these keys."""
    keys = {key: value for key, value in hf.items() if key != "model_type"}
    return AutoConfig.for_model(hf["model_type"], **keys)


def next_token(hf: dict, rows: list[list[int]], batch: int, steps: int) -> float:
    """GPT-2 on packed rows."""
    examples = [{"input_ids": row, "labels": row, "attention_mask": [1] * len(row)} for row in rows]
    collator = Counting(default_data_collator, ("attention_mask",))
    return speed(Trainer, GPT2LMHeadModel(config(hf)), examples, collator, TrainingArguments, batch, steps)


def masked_next(hf: dict, folder: str, texts: list[str], context: int, batch: int, steps: int) -> float:
    """BERT on pairs of sentences, masked by the library's collator, which pads to the longest of a batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    collator = Counting(DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15), ("attention_mask",))
    examples = pairs(tokenizer, texts, context, batch * (steps + 1))
    return speed(Trainer, BertForPreTraining(config(hf)), examples, collator, TrainingArguments, batch, steps)


def pairs(tokenizer, texts: list[str], context: int, count: int) -> list[dict]:
    """Segments of whole sentences that fill the context, half of them with a second part from another document."""
    choose, found = random.Random(1), []
    documents = [[s for s in re.split(r"(?<=[.!?])\s+", text) if s] for text in texts]
    documents = [tokenizer(d, add_special_tokens=False)["input_ids"] for d in documents if len(d) > 1]
    while len(found) < count:
        sentences, current = choose.choice(documents), []
        for number, sentence in enumerate(sentences):
            current.append(sentence)
            full = sum(map(len, current)) >= context - 3
            if len(current) > 1 and (full or number == len(sentences) - 1):
                cut = choose.randrange(1, len(current))
                first, second = sum(current[:cut], []), sum(current[cut:], [])
                other = choose.random() < 0.5
                if other:
                    second = sum(choose.choice(documents), [])[: context - 3 - min(len(first), context // 2)]
                found.append(pair(tokenizer, first, second, context, int(other)))
                current = []
    choose.shuffle(found)
    return found[:count]


def pair(tokenizer, first: list[int], second: list[int], context: int, answer: int) -> dict:
    """[CLS] first [SEP] second [SEP], the longer one shortened until it fits."""
    first, second = list(first), list(second)
    while len(first) + len(second) > context - 3:
        (first if len(first) > len(second) else second).pop()
    ids = [tokenizer.cls_token_id, *first, tokenizer.sep_token_id, *second, tokenizer.sep_token_id]
    types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": [1] * len(ids), "next_sentence_label": answer}


def denoise(hf: dict, folder: str, rows: list[list[int]], batch: int, steps: int) -> float:
    """T5 on rows of one length, whose spans are hidden beforehand (at no cost to it)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration(config(hf))
    sentinels = [tokenizer.convert_tokens_to_ids(f"<extra_id_{n}>") for n in range(100)]
    examples = [hidden(row, sentinels, tokenizer.eos_token_id, seed) for seed, row in enumerate(rows)]
    collator = Counting(DataCollatorForSeq2Seq(tokenizer, model=model), ("attention_mask", "labels"))
    return speed(Seq2SeqTrainer, model, examples, collator, Seq2SeqTrainingArguments, batch, steps)


def hidden(row: list[int], sentinels: list[int], end: int, seed: int) -> dict:
    """15 % of a row in spans of 3 behind sentinels."""
    spans = round(len(row) * 0.15 / 3)
    places = torch.randperm(len(row) // 4 - 1, generator=torch.Generator().manual_seed(seed))[:spans]
    source, target, at = [], [], 0
    for number, begin in enumerate(sorted((places * 4).tolist())):
        source += [*row[at:begin], sentinels[number]]
        target += [sentinels[number], *row[begin : begin + 3]]
        at = begin + 3
    source += [*row[at:], end]
    return {"input_ids": source, "attention_mask": [1] * len(source), "labels": [*target, sentinels[spans], end]}
