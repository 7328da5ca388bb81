"""THE USUAL SCRIPT: transformers' names over upwell's loop, so that a script changes one import and nothing else.

    from upwell.hf import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    models      AutoModelFor...   a folder with the head for a task
    tokenizing  AutoTokenizer     texts to rows
    collating   DataCollator...   rows to batches, for those that want them
    arguments   TrainingArguments transformers' names and defaults -> training's settings
    tasks       what each class learns, by objectives; data: datasets as rows without padding
    trainer     Trainer           train, evaluate, predict, save_model; evaluating, results: what it gives back

What upwell does not know is refused by name (known). It stands below all rooms and imports neither transformers nor
datasets: a dataset is anything with a length and rows by number.
"""

from .arguments import Seq2SeqTrainingArguments, TrainingArguments
from .collating import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    default_data_collator,
)
from .models import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    set_seed,
)
from .results import EarlyStoppingCallback, EvalPrediction, PredictionOutput, TrainOutput
from .tokenizing import AutoTokenizer
from .trainer import Seq2SeqTrainer, Trainer

__all__ = [
    "AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModelForQuestionAnswering", "AutoModelForSeq2SeqLM",
    "AutoModelForSequenceClassification", "AutoModelForTokenClassification", "AutoTokenizer",
    "DataCollatorForLanguageModeling", "DataCollatorForSeq2Seq", "DataCollatorForTokenClassification",
    "DataCollatorWithPadding", "EarlyStoppingCallback", "EvalPrediction", "PredictionOutput", "Seq2SeqTrainer",
    "Seq2SeqTrainingArguments", "TrainOutput", "Trainer", "TrainingArguments", "default_data_collator", "set_seed",
]  # fmt: skip


def __getattr__(name: str):
    """A name of transformers that is not here, refused in a sentence."""
    from ..settings import did_you_mean

    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"upwell.hf has no {name}{did_you_mean(name, __all__)}")
