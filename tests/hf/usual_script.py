"""The usual script: python usual_script.py MODEL TRAIN TEST OUT [LONGEST] [SEED]; texts and labels as lines of JSON."""

import json
import sys
from pathlib import Path

from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

name, train_file, test_file, out, *more = sys.argv[1:]
longest, seed = (int(one) for one in (more + ["128", "42"][len(more) :])[:2])
set_seed(seed)
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)


def dataset(file):
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=longest)
    return [{key: encoded[key][i] for key in encoded} | {"labels": row["label"]} for i, row in enumerate(rows)]


def compute_metrics(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


args = TrainingArguments(
    out,
    num_train_epochs=3,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=16,
    save_strategy="no",
    seed=seed,
)
trainer = Trainer(
    model=model,
    args=args,
    train_dataset=dataset(train_file),
    eval_dataset=dataset(test_file),
    processing_class=tokenizer,
    compute_metrics=compute_metrics,
)
result = trainer.train()
print(json.dumps(trainer.evaluate() | result.metrics))
trainer.save_model()
