"""AutoModelFor...: a folder opened with the head that a script asks for.

    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    model.transformer, model.checkpoint     # upwell's own

What the folder lacks, such as a head, is drawn from torch's random numbers (`set_seed`). Weights are float32.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import plugs, terminal, weights
from ..errors import CheckpointError, SettingsError
from ..model import hub, preset, quantize
from ..model.config import Config
from ..objectives import _heads
from ..run import beginning
from . import tasks
from .known import only, refuse
from .tasks import Task

LABELLED = ("num_labels", "id2label", "label2id", "problem_type", "ignore_mismatched_sizes")
PROBLEMS = (None, "single_label_classification", "multi_label_classification", "regression")
NUMBERS = {"dtype": (None, "auto", "float32", torch.float32), "torch_dtype": (None, "auto", "float32", torch.float32)}


def set_seed(seed: int) -> None:
    """Seed Python's, numpy's and torch's random numbers, from which new heads are drawn."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)


@dataclass
class Output:
    """What a model says: logits, or of a question answerer start_logits and end_logits."""

    logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None


class View:
    """config.json as attributes; pad_token_id may be set, and use_cache, of which nothing depends here."""

    def __init__(self, keys: Mapping[str, Any], model: "Model"):
        vars(self).update(keys, _model=model)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "pad_token_id":
            self._model.settle(self._model.transformer.config.with_(pad=value))
        elif name != "use_cache":
            raise SettingsError(f"config.{name} cannot be set; give num_labels, id2label or problem_type to "
                                "from_pretrained")  # fmt: skip


class Model(nn.Module):
    """An open folder with the head for its task."""

    def __init__(self, checkpoint: hub.Checkpoint, task: Task):
        super().__init__()
        self.transformer, self.checkpoint, self.task = checkpoint.model, checkpoint, task

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None,
                decoder_input_ids: Tensor | None = None, **labels: Any) -> Output:  # fmt: skip
        """What the model says of rows (B, T); losses are the Trainer's."""
        refuse(f"{type(self).__name__}.forward", labels, ("input_ids", "attention_mask", "token_type_ids",
                                                          "decoder_input_ids"))  # fmt: skip
        mask = None if attention_mask is None or bool(attention_mask.all()) else attention_mask.bool()
        if self.transformer.config.shape == "encoder-decoder":
            return Output(self.transformer(decoder_input_ids, source=input_ids, source_mask=mask))
        types = token_type_ids if self.transformer.config.token_types > 1 else None
        said = self.transformer(input_ids, mask=mask, types=types)
        return Output(None, said[..., 0], said[..., 1]) if self.task is tasks.SPANS else Output(said)

    @property
    def config(self) -> View:
        """What its config.json says."""
        c = self.transformer.config
        keys = plugs.find("model/families", c.family).to_hf(c)
        labels = {int(number): name for number, name in keys.get("id2label", {}).items()}
        return View(keys | ({"id2label": labels, "num_labels": len(labels)} if labels else {}), self)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.transformer.device

    @property
    def base_model(self) -> nn.ModuleList:
        """Everything but the head: to freeze it, or to count it."""
        parts = (self.transformer.embed, self.transformer.encoder, self.transformer.decoder)
        return nn.ModuleList(part for part in parts if part is not None)

    def num_parameters(self, only_trainable: bool = False) -> int:
        """How many numbers it has."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    def settle(self, config: Config) -> None:
        """Take a config that says more of the head, such as what its labels are."""
        self.transformer.config = config

    def save_pretrained(self, folder: str | Path) -> None:
        """Write an ordinary folder of it, which upwell and transformers open."""
        hub.save(replace(self.checkpoint, config=self.transformer.config), folder)


class Kept(NamedTuple):
    """A folder and the config of the model that is made of it, as `run.beginning` reads them of a run."""

    base: hub.Checkpoint
    config: Config


def opened(what: str, task: Task, folder: str | Path, given: Mapping[str, Any]) -> Model:
    """The model of a folder with the head of a task; what is new in it is said."""
    refuse(f"{what}.from_pretrained", given, (*NUMBERS, *(LABELLED if task in (tasks.LABELS, tasks.TAGS) else ())))
    only(f"{what}.from_pretrained", given, NUMBERS | {"problem_type": PROBLEMS})
    base = hub.load(weights.find(Path(folder)), dtype=torch.float32)
    if isinstance(base.model, quantize.Quantized):
        base = replace(base, model=quantize.floating(base.model))
    kept = Kept(base, headed(what, task, base, given))
    seed = int(torch.randint(1 << 31, ()))
    if alike(kept.config, base.config):  # at most other names of labels
        base.model.config = kept.config
        return Model(replace(base, model=base.model.requires_grad_(True), config=kept.config), task)
    if told := beginning.said(kept):
        terminal.say(told)
    model = preset.renewed(kept.config, beginning.taken(kept), seed)
    return Model(replace(base, model=model.eval(), config=kept.config), task)


def alike(one: Config, other: Config) -> bool:
    """Whether two configs are of the same weights."""
    heads = [replace(c.head, labels=("",) * len(c.head.labels), problem=None) for c in (one, other)]
    return one.with_(head=heads[0]) == other.with_(head=heads[1])


def headed(what: str, task: Task, base: hub.Checkpoint, given: Mapping[str, Any]) -> Config:
    """The config with the head of a task and the labels that were asked for."""
    c = base.config
    if c.shape not in task.shapes:
        raise CheckpointError(f"{base.folder}: a {c.kind} model of the shape {c.shape}; {what} opens "
                              f"{' or '.join(task.shapes)} models")  # fmt: skip
    if task.heads[0] == "language":
        if c.head.kind != "language":
            raise CheckpointError(f"{base.folder}: this model has the head {c.head.kind}, which writes no words; "
                                  f"{what} wants a folder of a model that does")  # fmt: skip
        return c
    own = c.head.kind in task.heads
    names = labels_of(given, c.head.labels if own else ())
    config = c if own else _heads.of_class(c, task.ending)
    if task not in (tasks.LABELS, tasks.TAGS):
        return config
    if own and len(names) != len(c.head.labels) and not given.get("ignore_mismatched_sizes"):
        raise CheckpointError(f"{base.folder}: its head has {len(c.head.labels)} labels and {len(names)} are asked "
                              "for; leave num_labels out, or draw a new head with ignore_mismatched_sizes=True")
    problem = given.get("problem_type") or (c.head.problem if own else None)
    head = replace(config.head, labels=names, problem=problem)
    return c if own and head == c.head else config.with_(head=head)


def labels_of(given: Mapping[str, Any], there: Sequence[str]) -> tuple[str, ...]:
    """The names of the labels: as they are given, as many as are asked for, or those that are there; else two."""
    named = given.get("id2label")
    if not named and given.get("label2id"):
        named = {number: name for name, number in given["label2id"].items()}
    count = given.get("num_labels")
    if named:
        names = tuple(str(named[key]) for key in sorted(named, key=int))
        if sorted(map(int, named)) != list(range(len(names))) or count not in (None, len(names)):
            raise SettingsError(f"id2label names {len(names)} labels by {sorted(named)}, num_labels is {count}; "
                                "expected 0 to num_labels - 1")  # fmt: skip
        return names
    if there and count in (None, len(there)):
        return tuple(there)
    return tuple(f"LABEL_{number}" for number in range(2 if count is None else count))


class AutoModelForSequenceClassification:
    """Labels of whole texts."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> Model:
        """num_labels, id2label, label2id, problem_type: as transformers takes them."""
        return opened(cls.__name__, tasks.LABELS, folder, given)


class AutoModelForTokenClassification:
    """Labels of tokens."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> Model:
        """num_labels, id2label, label2id: as transformers takes them."""
        return opened(cls.__name__, tasks.TAGS, folder, given)


class AutoModelForQuestionAnswering:
    """Answers that stand in a text."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> Model:
        """The folder's model with a head for both ends of an answer."""
        return opened(cls.__name__, tasks.SPANS, folder, given)


class AutoModelForMaskedLM:
    """Masked words."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> Model:
        """The folder's model with a head for words."""
        return opened(cls.__name__, tasks.MASKED, folder, given)


class AutoModelForCausalLM:
    """The next token."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> Model:
        """The folder's model."""
        return opened(cls.__name__, tasks.CAUSAL, folder, given)


class AutoModelForSeq2SeqLM:
    """A text from a text."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> Model:
        """The folder's model."""
        return opened(cls.__name__, tasks.PAIRS, folder, given)
