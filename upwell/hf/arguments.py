"""TrainingArguments: transformers' names with transformers' defaults, and what they are in upwell's own settings.

    args = TrainingArguments("out", num_train_epochs=3)
    args.settings(steps)          # training.settings.Settings

An argument of transformers that is not here is refused by name. It knows no model and no data.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..errors import SettingsError
from ..training import settings as training
from .known import only, refuse

OPTIMIZERS = {"adamw_torch_fused": "adamw", "adamw_torch": "adamw", "sgd": "sgd"}
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant", "constant_with_warmup": "constant"}
NONE = (None, "none", [], ())
ONLY = {
    "optim": tuple(OPTIMIZERS), "lr_scheduler_type": tuple(SCHEDULES), "adam_epsilon": (1e-8,),
    "logging_strategy": ("no", "steps", "epoch"), "eval_strategy": ("no", "steps", "epoch"),
    "save_strategy": ("no", "steps", "epoch", "best"), "push_to_hub": (False,), "dataloader_drop_last": (False,),
    "label_names": (None, ["labels"], ["start_positions", "end_positions"]),
    "train_sampling_strategy": ("random", "group_by_length"),
}  # fmt: skip


@dataclass
class TrainingArguments:
    """How a Trainer trains, evaluates and saves."""

    output_dir: str | None = None
    """The folder for checkpoints and the model; without one "trainer_output"."""
    per_device_train_batch_size: int = 8
    """Rows that go through the model at once."""
    num_train_epochs: float = 3.0
    """How often every row is seen."""
    max_steps: int = -1
    """Steps of the run; above 0 it counts in place of epochs."""
    learning_rate: float = 5e-5
    """Peak rate."""
    lr_scheduler_type: str = "linear"
    """How the rate falls: linear, cosine, constant or constant_with_warmup."""
    warmup_steps: float = 0
    """Steps in which the rate rises; below 1 a share of all steps."""
    warmup_ratio: float | None = None
    """The same as a share."""
    optim: str = "adamw_torch_fused"
    """adamw_torch_fused and adamw_torch (the same here), or sgd."""
    weight_decay: float = 0.0
    """Pull of matrices towards 0, times the rate; never of norms and biases."""
    adam_beta1: float = 0.9
    """How slowly AdamW's mean of gradients moves."""
    adam_beta2: float = 0.999
    """How slowly AdamW's mean of squared gradients moves."""
    adam_epsilon: float = 1e-8
    """Only so much."""
    gradient_accumulation_steps: int = 1
    """Batches of one step."""
    max_grad_norm: float = 1.0
    """Longest gradient of a step; longer ones are shortened. 0: no limit."""
    label_smoothing_factor: float = 0.0
    """Share of each target that is spread over all labels or words."""
    bf16: bool = False
    """Matrix products in bfloat16; where nothing is said, `precision` decides."""
    fp16: bool = False
    """Matrix products in float16."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """upwell's own: auto takes bfloat16 where this machine multiplies it faster; float32 is what transformers does
    without bf16 and fp16."""
    gradient_checkpointing: bool | None = None
    """Compute again for the gradients instead of remembering."""
    torch_compile: bool = False
    """Compile the blocks before the first step."""
    logging_strategy: str = "steps"
    """no, steps or epoch."""
    logging_steps: float = 500
    """Steps between two lines of the log; below 1 a share of all steps."""
    logging_first_step: bool = False
    """A line of the log after the first step, too."""
    disable_tqdm: bool | None = None
    """No progress bar, and no line for each entry of the log."""
    report_to: str | list[str] | None = "none"
    """tensorboard or trackio, where the log is sent as well."""
    eval_strategy: str = "no"
    """no, steps or epoch."""
    eval_steps: float | None = None
    """Steps between two evaluations; without it logging_steps."""
    eval_on_start: bool = False
    """Evaluate before the first step, too."""
    per_device_eval_batch_size: int = 8
    """Rows that are evaluated at once."""
    prediction_loss_only: bool = False
    """Evaluations give the loss alone."""
    save_strategy: str = "steps"
    """no, steps, epoch, or best: whenever an evaluation is the best one."""
    save_steps: float = 500
    """Steps between two checkpoints; below 1 a share of all steps."""
    save_total_limit: int | None = None
    """How many checkpoints stay, the newest ones and the best."""
    save_only_model: bool = False
    """Checkpoints hold no optimizer: they cannot be gone on with."""
    load_best_model_at_end: bool = False
    """After the last step take the checkpoint whose evaluation was the best."""
    metric_for_best_model: str | None = None
    """By which number of an evaluation; without it the loss."""
    greater_is_better: bool | None = None
    """Whether more of it is better; without it for everything but a loss."""
    seed: int = 42
    """Chooses the order of the rows and dropout."""
    data_seed: int | None = None
    """Chooses the order of the rows; without it `seed`."""
    use_cpu: bool = False
    """Take the processor even where there is a GPU."""
    do_train: bool = False
    """For scripts that ask for it; nothing here does."""
    do_eval: bool = False
    """For scripts that ask for it; nothing here does."""
    do_predict: bool = False
    """For scripts that ask for it; nothing here does."""
    resume_from_checkpoint: str | None = None
    """For scripts that hand it to train(); nothing here does."""
    label_names: list[str] | None = None
    """Columns that hold labels; found by themselves."""
    remove_unused_columns: bool = True
    """Columns that no model reads are passed over, either way."""
    train_sampling_strategy: str = "random"
    """Rows of one batch always have about one length, and batches come in a random order."""
    dataloader_drop_last: bool = False
    """Only so."""
    dataloader_num_workers: int = 0
    """No worker is needed."""
    dataloader_pin_memory: bool = True
    """Of no consequence here."""
    log_level: str = "passive"
    """Of no consequence here."""
    run_name: str | None = None
    """Of no consequence here."""
    push_to_hub: bool = False
    """Only so."""

    def __new__(cls, *values: Any, **given: Any) -> "TrainingArguments":
        refuse(cls.__name__, given, [one.name for one in fields(cls)])
        return super().__new__(cls)

    def __post_init__(self):
        what = type(self).__name__
        for name in ("lr_scheduler_type", "optim", "eval_strategy", "save_strategy", "logging_strategy"):
            setattr(self, name, str(getattr(getattr(self, name), "value", getattr(self, name))))  # of an enumeration
        only(what, vars(self), ONLY)
        self.output_dir = "trainer_output" if self.output_dir is None else str(self.output_dir)
        if self.bf16 and self.fp16:
            raise SettingsError(f"{what}: found both bf16 and fp16, expected at most one of them")
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SettingsError(f"{what}: {name} is {value!r}; expected a whole number of 1 or more")
        if self.max_steps <= 0 and not 0 < self.num_train_epochs < 1e6:
            raise SettingsError(f"{what}: num_train_epochs is {self.num_train_epochs!r}; expected a number above 0")
        self._best()

    def _best(self) -> None:
        """What load_best_model_at_end implies."""
        if self.load_best_model_at_end and self.save_strategy not in ("best", self.eval_strategy):
            raise SettingsError("load_best_model_at_end needs a checkpoint of every evaluation; save_strategy is "
                                f"{self.save_strategy} and eval_strategy {self.eval_strategy}, expected the same")
        if self.metric_for_best_model is None and (self.load_best_model_at_end or self.save_strategy == "best"):
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")

    @property
    def rows(self) -> int:
        """Rows of a step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def train_batch_size(self) -> int:
        """transformers' name for per_device_train_batch_size on one device."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """transformers' name for per_device_eval_batch_size on one device."""
        return self.per_device_eval_batch_size

    @property
    def trackers(self) -> tuple[str, ...]:
        """Where the log is sent."""
        if self.report_to in NONE or self.report_to == ["none"]:
            return ()
        return (self.report_to,) if isinstance(self.report_to, str) else tuple(self.report_to)

    def steps(self, per_epoch: int) -> int:
        """Steps of a run, of so many an epoch."""
        return self.max_steps if self.max_steps > 0 else math.ceil(self.num_train_epochs * per_epoch)

    def every(self, name: str, steps: int) -> int:
        """logging_steps and its like in whole steps."""
        value = getattr(self, name)
        value = self.logging_steps if value is None else value
        return max(1, math.ceil(value * steps) if value < 1 else int(value))

    def settings(self, steps: int) -> training.Settings:
        """The same for upwell's loop."""
        warmup = self.warmup_steps if self.warmup_steps > 0 or self.warmup_ratio is None else self.warmup_ratio
        warmup = math.ceil(warmup * steps) if warmup < 1 else int(warmup)
        name = OPTIMIZERS[self.optim]
        optim = training.Optim(name=name, rate=self.learning_rate, beta1=self.adam_beta1, beta2=self.adam_beta2,
                               weight_decay=self.weight_decay, momentum=0.95 if name == "adamw" else 0.0)  # fmt: skip
        schedule = training.Schedule(warmup=0 if self.lr_scheduler_type == "constant" else warmup, from_zero=True,
                                     decay=SCHEDULES[self.lr_scheduler_type])  # fmt: skip
        precision = "bfloat16" if self.bf16 else "float16" if self.fp16 else self.precision
        return training.Settings(
            steps=steps, rows=self.rows, micro_rows=self.per_device_train_batch_size, clip=self.max_grad_norm,
            precision=precision, compile="wait" if self.torch_compile else "off", seed=self.seed, optim=optim,
            schedule=schedule, checkpoint=bool(self.gradient_checkpointing),
        )  # fmt: skip


@dataclass
class Seq2SeqTrainingArguments(TrainingArguments):
    """Beside these, how a model that writes one text from another is evaluated."""

    predict_with_generate: bool = False
    """Evaluations let the model write; predictions are what it wrote."""
    generation_max_length: int | None = None
    """The most tokens that it writes; without it 20."""
    generation_num_beams: int | None = None
    """Width of beam search; without it 1, the likeliest token each time."""
