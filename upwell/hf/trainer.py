"""Trainer and Seq2SeqTrainer: transformers' names over upwell's loop.

    trainer = Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows)
    trainer.train(); trainer.evaluate(); trainer.save_model()

Rows are read without padding, in batches of about one length; matrix products are in bfloat16 where this machine is
faster in it. What a Trainer cannot do as it is asked it refuses by name; see docs/hugging-face.md.
"""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import terminal, tracking
from ..atomic import write_file
from ..errors import CheckpointError, SettingsError
from ..model import hub
from ..training import loop, precision
from ..training import state as states
from . import tasks
from .arguments import Seq2SeqTrainingArguments, TrainingArguments
from .data import Rows, Sampler
from .evaluating import Evaluator, written
from .known import Unknown, refuse
from .models import Model
from .results import EarlyStoppingCallback, EvalPrediction, PredictionOutput, TrainerState, TrainOutput
from .tokenizing import Tokenizer

KNOWN = ("model", "args", "data_collator", "train_dataset", "eval_dataset", "processing_class", "tokenizer",
         "model_init", "compute_metrics", "callbacks", "preprocess_logits_for_metrics")  # fmt: skip
THEIRS = ("compute_loss", "training_step", "prediction_step", "create_optimizer", "create_scheduler",
          "create_optimizer_and_scheduler", "get_train_dataloader", "get_eval_dataloader", "get_test_dataloader",
          "evaluation_loop", "log")  # fmt: skip


class Enough(Exception):
    """The evaluations get no better."""


class Trainer:
    """Trains and evaluates a model of `AutoModelFor...` as TrainingArguments say."""

    arguments = TrainingArguments

    def __init__(self, model: Model | None = None, args: TrainingArguments | None = None,
                 data_collator: Callable | None = None, train_dataset: Any = None, eval_dataset: Any = None,
                 **others: Any):  # fmt: skip
        what = type(self).__name__
        refuse(what, others, KNOWN)
        if overridden := [name for name in THEIRS if hasattr(type(self), name)]:
            raise Unknown(f"{what}: upwell's Trainer never calls {overridden[0]}; train with transformers' where you "
                          "need it, or write an objective file (docs/objectives.md)")  # fmt: skip
        model = others["model_init"]() if model is None and others.get("model_init") else model
        if not isinstance(model, Model):
            raise SettingsError(f"{what}: found a model of the type {type(model).__name__}; expected one of "
                                "upwell.hf.AutoModelFor...from_pretrained")  # fmt: skip
        self.args = self.arguments() if args is None else args
        if not isinstance(self.args, TrainingArguments):
            raise SettingsError(f"{what}: found args of {type(args).__module__}; expected upwell.hf.TrainingArguments")
        self.model, self.task, self.collator = model, model.task, data_collator
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.processing_class = others.get("processing_class") or others.get("tokenizer")
        self.compute_metrics = others.get("compute_metrics")
        self.preprocess = others.get("preprocess_logits_for_metrics")
        self.stopping = stopping(others.get("callbacks") or ())
        if self.stopping and (self.args.metric_for_best_model is None or self.args.eval_strategy == "no"):
            raise SettingsError("EarlyStoppingCallback wants metric_for_best_model and an eval_strategy")
        self.state, self.trackers = TrainerState(), []
        device = "cpu" if self.args.use_cpu else precision.default_device()
        self.model.to(device)
        self.options = self.task.options(self.args.label_smoothing_factor)
        self.dtype = precision.resolve(self.args.settings(1).precision, device)

    # ---- training ----

    def train(self, resume_from_checkpoint: str | bool | None = None) -> TrainOutput:
        """Train; resume_from_checkpoint: a checkpoint's folder, or True for the newest one in output_dir."""
        args, begin = self.args, time.perf_counter()
        rows = self._rows(self.train_dataset)
        seed = args.seed if args.data_seed is None else args.data_seed
        sampler = Sampler(rows, self.task, self.config, args.rows, seed, self.collator)
        self.per_epoch = sampler.samples_per_epoch // args.rows
        steps = args.steps(self.per_epoch)
        s = replace(args.settings(steps), precision=str(self.dtype).removeprefix("torch."))
        state = states.begin(self.model.transformer, s)
        self.state = TrainerState(max_steps=steps, num_train_epochs=math.ceil(steps / self.per_epoch))
        if resume_from_checkpoint:
            self._resume(state, resume_from_checkpoint)
        self.loop, self.settings = state, s
        self.trackers = [tracking.opened(name, Path(args.output_dir), vars(args), terminal.warn)
                         for name in args.trackers]  # fmt: skip
        if args.eval_on_start:
            self._evaluate()
        self._run(sampler)
        done = self.state.global_step
        metrics = self._speed("train", time.perf_counter() - begin, len(rows) * done / self.per_epoch, done)
        mean = self.state.total / max(1, done)
        metrics |= {"train_loss": mean, "epoch": self.state.epoch}
        self._log(metrics)
        for one in self.trackers:
            one.close()
        self._take_best()
        return TrainOutput(done, mean, metrics)

    def _run(self, sampler: Sampler) -> None:
        """The loop, with a bar beside it."""
        with contextlib.suppress(Enough):
            if self.args.disable_tqdm:
                self._loop(sampler, None)
                return
            with terminal.Progress("training", self.settings.steps, self.state.global_step) as bar:
                self._loop(sampler, bar)

    def _loop(self, sampler: Sampler, bar: Any) -> None:
        def after(state, report) -> None:
            if bar is not None:
                bar.update(report.step, {"loss": f"{report.loss:.4f}"})
            self._after(report)

        loop.train(self.loop, sampler, self.task, self.options, self.settings, self.dtype, [(1, after)], terminal.warn)

    def _after(self, report: loop.Report) -> None:
        """What is due after a step."""
        args, state, step = self.args, self.state, report.step
        state.global_step, state.total = step, state.total + report.loss
        state.epoch = step / self.per_epoch
        if self._due("logging", step) or (args.logging_first_step and step == 1):
            self._log_step(report)
        better = self._evaluate() if self._due("eval", step) else False
        last = step == self.settings.steps and args.save_strategy == "steps"
        if self._due("save", step) or last or (better and args.save_strategy == "best"):
            self._checkpoint()
        if self.stopping and state.worse >= self.stopping.early_stopping_patience:
            raise Enough

    def _due(self, what: str, step: int) -> bool:
        """Whether it is time to log, evaluate or save."""
        strategy = getattr(self.args, f"{what}_strategy")
        if strategy == "epoch":
            return step % self.per_epoch == 0 or step == self.settings.steps
        return strategy == "steps" and step % self.args.every(f"{what}_steps", self.settings.steps) == 0

    def _log_step(self, report: loop.Report) -> None:
        """Mean loss since the last line, and the step's rate."""
        step, total = self.state.logged
        rate = self.args.learning_rate * report.rate
        loss = (self.state.total - total) / (report.step - step)
        self.state.logged = (report.step, self.state.total)
        self._log({"loss": loss, "grad_norm": report.norm, "learning_rate": rate, "epoch": self.state.epoch})

    def _log(self, values: Mapping[str, float]) -> None:
        """A line of the log."""
        line = {**values, "step": self.state.global_step}
        self.state.log_history.append(line)
        if not self.args.disable_tqdm:
            terminal.say(", ".join(f"{name} {short(value)}" for name, value in values.items()))
        for one in self.trackers:
            one({name: value for name, value in line.items() if isinstance(value, (int, float))})

    # ---- evaluating ----

    def evaluate(self, eval_dataset: Any = None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """The loss, what compute_metrics says, and the time; of a dict of datasets each under its name."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, Mapping) and not isinstance(dataset, Sequence) and "input_ids" not in dataset:
            found: dict[str, float] = {}
            for name, one in dataset.items():
                found |= self.evaluate(one, f"{metric_key_prefix}_{name}")
            return found
        metrics = self._judged(dataset, metric_key_prefix, self.compute_metrics is None)[2]
        metrics["epoch"] = self.state.epoch
        self._log(metrics)
        return metrics

    def predict(self, test_dataset: Any, metric_key_prefix: str = "test") -> PredictionOutput:
        """What the head says of every row, in order; metrics where the rows have labels."""
        return PredictionOutput(*self._judged(test_dataset, metric_key_prefix, False))

    def _judged(self, dataset: Any, prefix: str, loss_only: bool) -> tuple[Any, Any, dict[str, float]]:
        begin, args = time.perf_counter(), self.args
        rows = self._rows(dataset, learning=False)
        known = rows.labelled or rows.items is not None
        if not known:
            rows.columns |= tasks.blank(rows.columns, self.task, self.config)
        sampler = Sampler(rows, self.task, self.config, 1, 0, self.collator)
        evaluator = Evaluator(self.model.transformer, self.task, self.options, args.per_device_eval_batch_size,
                              self.dtype)  # fmt: skip
        loss_only = loss_only or args.prediction_loss_only
        loss, said, labels = evaluator(sampler, loss_only or self._writes, self.preprocess)
        if self._writes and not loss_only:
            said, labels = self._written(rows), labels_of(rows)
        metrics = {f"{prefix}_loss": loss} if known else {}
        if known and self.compute_metrics is not None and not loss_only:
            found = self.compute_metrics(EvalPrediction(said, labels))
            metrics |= {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": plain(value)
                        for name, value in found.items()}  # fmt: skip
        steps = math.ceil(len(rows) / args.per_device_eval_batch_size)
        metrics |= self._speed(prefix, time.perf_counter() - begin, rows=len(rows), steps=steps)
        return said, labels if known else None, metrics

    @property
    def _writes(self) -> bool:
        """Whether evaluations let the model write."""
        return False

    def _evaluate(self) -> bool:
        """An evaluation within a training; whether it is the best one so far."""
        metrics, args, state = self.evaluate(), self.args, self.state
        if args.metric_for_best_model is None:
            return False
        name = args.metric_for_best_model
        name = name if name.startswith("eval_") else f"eval_{name}"
        if name not in metrics:
            raise SettingsError(f"metric_for_best_model is {args.metric_for_best_model}; the evaluation gave "
                                f"{', '.join(metrics)}")  # fmt: skip
        value, before = metrics[name], state.best_metric
        gain = math.inf if before is None else (value - before) * (1 if args.greater_is_better else -1)
        threshold = self.stopping.early_stopping_threshold if self.stopping else 0.0
        state.worse = 0 if gain > threshold else state.worse + 1
        if gain > 0:
            state.best_metric, state.best_global_step = value, state.global_step
            state.best_model_checkpoint = str(self._place)
        return gain > 0

    # ---- saving ----

    def save_model(self, output_dir: str | None = None) -> None:
        """Write an ordinary folder, which upwell and transformers open, tokenizer included."""
        folder, own = Path(output_dir or self.args.output_dir), self.processing_class
        checkpoint = self.model.checkpoint
        if isinstance(own, Tokenizer):
            checkpoint = replace(checkpoint, tokenizer=own.own)
        hub.save(replace(checkpoint, config=self.config), folder)
        if own is not None:
            own.save_pretrained(folder)
            hub.told_anew(folder, ("tokenizer.json", "tokenizer_config.json"))

    def save_state(self) -> None:
        """Write trainer_state.json to output_dir."""
        self.state.save(Path(self.args.output_dir))

    def log_metrics(self, split: str, metrics: Mapping[str, float]) -> None:
        """Print metrics."""
        terminal.table(f"{split} metrics", ("metric", "value"), [(name, short(v)) for name, v in metrics.items()])

    def save_metrics(self, split: str, metrics: Mapping[str, float]) -> None:
        """Write them to output_dir as split_results.json."""
        path = Path(self.args.output_dir) / f"{split}_results.json"
        write_file(path, (json.dumps(dict(metrics), indent=2) + "\n").encode())

    @property
    def _place(self) -> Path:
        """Where a checkpoint of this step lies."""
        return Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"

    def _checkpoint(self) -> None:
        """Write one, and remove the oldest that are too many."""
        self.save_model(str(self._place))
        if not self.args.save_only_model:
            states.save(self.loop, self._place)
        self.state.save(self._place)
        limit = self.args.save_total_limit
        found = checkpoints(Path(self.args.output_dir))
        if limit is None or len(found) <= limit:
            return
        best = self.state.best_model_checkpoint
        spare = [one for one in found if best is None or one.resolve() != Path(best).resolve()]
        for old in spare[: len(found) - max(limit, 1)]:
            if old != self._place:
                shutil.rmtree(old, ignore_errors=True)

    def _resume(self, state: states.State, wanted: str | bool) -> None:
        """Go on from a checkpoint."""
        there = checkpoints(Path(self.args.output_dir))
        place = Path(wanted) if isinstance(wanted, str) else there[-1] if there else None
        found = None if place is None else states.newest(place)
        if found is None:
            raise CheckpointError(f"{place or self.args.output_dir}: no checkpoint to go on from; expected a folder "
                                  "checkpoint-N that upwell.hf wrote without save_only_model")  # fmt: skip
        states.restore(state, found)
        steps, epochs = self.state.max_steps, self.state.num_train_epochs
        self.state.take(place)
        self.state.max_steps, self.state.num_train_epochs = steps, epochs

    def _take_best(self) -> None:
        """The weights of the best checkpoint, where that is wanted."""
        best = self.state.best_model_checkpoint
        if not self.args.load_best_model_at_end or best is None or not Path(best).is_dir():
            return
        weights = hub.load(best, dtype=torch.float32).model.state_dict()
        self.model.transformer.load_state_dict(weights)

    # ---- what both need ----

    @property
    def config(self):
        """The model's Config."""
        return self.model.transformer.config

    def _rows(self, dataset: Any, learning: bool = True) -> Rows:
        """A dataset's rows; the first ones with labels settle what a label is."""
        rows = Rows.of(dataset, self.task, self.collator, learning)
        if self.task is tasks.LABELS and rows.labelled:
            self.model.settle(tasks.settled(self.config, rows.columns["labels"]))
        if self.task is tasks.TAGS and rows.labelled and rows.items is None:
            tasks.check(rows.columns["labels"], len(self.config.head.labels), tasks.IGNORE)
        longest = max(map(len, rows.columns["ids"]))
        if self.config.positions == "learned" and longest > self.config.context:
            raise SettingsError(f"found a row of {longest:,} tokens, but this {self.config.kind} model has positions "
                                f"for {self.config.context:,}; give the tokenizer truncation=True")  # fmt: skip
        if max(int(one.max()) for one in rows.columns["ids"] if len(one)) >= self.config.vocab:
            raise SettingsError(f"found a token id that the model does not have; it has {self.config.vocab:,}, give "
                                "the rows of its own tokenizer")  # fmt: skip
        return rows

    def _speed(self, prefix: str, seconds: float, rows: float, steps: int) -> dict[str, float]:
        """How long something took."""
        return {f"{prefix}_runtime": round(seconds, 4), f"{prefix}_samples_per_second": round(rows / seconds, 3),
                f"{prefix}_steps_per_second": round(steps / seconds, 3)}  # fmt: skip


class Seq2SeqTrainer(Trainer):
    """The same for models that write one text from another."""

    arguments = Seq2SeqTrainingArguments

    @property
    def _writes(self) -> bool:
        return getattr(self.args, "predict_with_generate", False)

    def _written(self, rows: Rows):
        """What the model writes of each row, as ids (rows, T)."""
        checkpoint = replace(self.model.checkpoint, config=self.config)
        self.model.eval()
        return written(checkpoint, rows.columns["ids"], self.args.generation_max_length or 20,
                       self.args.generation_num_beams or 1)  # fmt: skip


def labels_of(rows: Rows):
    """The labels of all rows, -100 behind them."""
    columns = rows.columns["labels"]
    return tasks.filled(columns, max(map(len, columns)), tasks.IGNORE).numpy()


def stopping(callbacks: Sequence) -> EarlyStoppingCallback | None:
    """The early stopping among callbacks; Unknown for another one."""
    for one in callbacks:
        if not isinstance(one, EarlyStoppingCallback):
            name = getattr(one, "__name__", type(one).__name__)
            raise Unknown(f"callbacks: upwell does not know {name}; it knows upwell.hf.EarlyStoppingCallback")
    return callbacks[-1] if callbacks else None


def checkpoints(folder: Path) -> list[Path]:
    """Folders checkpoint-N, by N."""
    found = [one for one in folder.glob("checkpoint-*") if one.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=lambda one: int(one.name.rpartition("-")[2]))


def plain(value: Any) -> Any:
    """A number of numpy or torch as one of Python."""
    return value.item() if hasattr(value, "item") else value


def short(value: Any) -> str:
    """A number as people read it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
