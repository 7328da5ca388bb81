"""The peers of bench/pretrain.py: transformers' own models, trained as their users train them.

Contract: `train_small_gpt2` trains GPT2LMHeadModel on characters with the known small CPU recipe and gives
back its loss curve and the wall time of its training loop; evaluation stands outside that time.
`train_with_trainer` runs transformers' Trainer in its defaults on packed rows and gives back tokens per
second. `validation_loss` is the measure for both sides. It knows nothing of upwell.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments


@dataclass(frozen=True)
class SmallRecipe:
    """The small CPU recipe; lengths in tokens, the schedule in steps."""

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    batch: int = 12
    steps: int = 2000
    warmup: int = 100
    peak: float = 1e-3
    floor: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True)
class CurvePoint:
    """Loss in nats per character after `step` steps, which took `seconds` of training."""

    step: int
    seconds: float
    loss: float


def characters(text: str) -> tuple[Tensor, Tensor, list[str]]:
    """Training and validation ids, (N,) int64, split 90/10 by position, and the sorted vocabulary."""
    vocabulary = sorted(set(text))
    index = {character: number for number, character in enumerate(vocabulary)}
    ids = torch.tensor([index[character] for character in text])
    cut = int(0.9 * len(ids))
    return ids[:cut], ids[cut:], vocabulary


@torch.no_grad()
def validation_loss(logits_of: Callable[[Tensor], Tensor], ids: Tensor, context: int = 64) -> float:
    """Mean cross-entropy in nats per character over all whole windows of `ids` (N,).

    `logits_of` maps ids (B, T) to logits (B, T, V); every window starts without memory of the one before.
    """
    windows = (len(ids) - 1) // context
    inputs = ids[: windows * context].view(windows, context)
    targets = ids[1 : windows * context + 1].view(windows, context)
    total = 0.0
    for x, y in zip(inputs.split(128), targets.split(128), strict=True):
        total += F.cross_entropy(logits_of(x).flatten(0, 1).float(), y.flatten(), reduction="sum").item()
    return total / (windows * context)


def small_gpt2(recipe: SmallRecipe, vocabulary: int) -> GPT2LMHeadModel:
    """transformers' GPT-2 at the recipe's size, without dropout, otherwise in its defaults."""
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=recipe.context, n_embd=recipe.width, n_layer=recipe.layers,
        n_head=recipe.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def adamw(model: torch.nn.Module, recipe: SmallRecipe) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak, betas=recipe.betas)


def learning_rate(step: int, recipe: SmallRecipe) -> float:
    """Linear warm-up, then a cosine from the peak to the floor."""
    if step < recipe.warmup:
        return recipe.peak * (step + 1) / (recipe.warmup + 1)
    progress = (step - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.floor + 0.5 * (1.0 + math.cos(math.pi * progress)) * (recipe.peak - recipe.floor)


def random_windows(ids: Tensor, recipe: SmallRecipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs and their next characters, each (B, T), from places drawn at random."""
    starts = torch.randint(len(ids) - recipe.context, (recipe.batch, 1), generator=generator)
    places = starts + torch.arange(recipe.context)
    return ids[places], ids[places + 1]


def train_small_gpt2(
    train: Tensor, held_out: Tensor, vocabulary: int, seed: int = 0, recipe: SmallRecipe | None = None,
    evaluate_every: int = 100,
) -> list[CurvePoint]:  # fmt: skip
    """The curve of one whole training, its last point last; only the training steps are timed."""
    recipe = recipe or SmallRecipe()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = small_gpt2(recipe, vocabulary)
    optimizer = adamw(model, recipe)
    curve, seconds, since = [], 0.0, time.perf_counter()
    for step in range(recipe.steps):
        batch = random_windows(train, recipe, generator)
        train_step(model, optimizer, batch, learning_rate(step, recipe), recipe.clip)
        if (step + 1) % evaluate_every == 0 or step + 1 == recipe.steps:
            seconds += time.perf_counter() - since
            loss = validation_loss(lambda x: model(input_ids=x).logits, held_out, recipe.context)
            curve.append(CurvePoint(step + 1, seconds, loss))
            since = time.perf_counter()
    return curve


def train_step(
    model: GPT2LMHeadModel, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor],
    rate: float, clip: float,
) -> None:  # fmt: skip
    """One plain eager step in float32."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    inputs, targets = batch
    logits = model(input_ids=inputs).logits
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()


class Rows(torch.utils.data.Dataset):
    """Packed rows for the Trainer; `rows` is (N, T) int64."""

    def __init__(self, rows: Tensor):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


class StepTimes(TrainerCallback):
    """Keeps the clock at the end of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **others) -> None:
        self.times.append(time.perf_counter())


def train_with_trainer(
    rows: Tensor, vocabulary: int, width: int = 384, layers: int = 6, heads: int = 6, batch: int = 16,
    steps: int = 8, warmup: int = 2, seed: int = 0,
) -> float:  # fmt: skip
    """Tokens per second of transformers' Trainer in its defaults on `rows` (N, T), after `warmup` steps."""
    torch.manual_seed(seed)
    context = rows.shape[1]
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=context, n_embd=width, n_layer=layers, n_head=heads,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    clock = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=batch,
            report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        Trainer(GPT2LMHeadModel(config), arguments, train_dataset=Rows(rows), callbacks=[clock]).train()
    times = clock.times[warmup - 1 :]
    return batch * context * (len(times) - 1) / (times[-1] - times[0])
