"""What a model learns of a firm's questions: each alone, and with the passages that a search finds for it.

    taught(firm) -> (what is kept, a line)

The chats with passages are those that `answering.written` will ask with, so that what is learnt is what is served. How
many steps fit into the minutes is measured once and kept; no question is seen more than EPOCHS times.
"""

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

from upwell import terminal
from upwell.atomic import write_file
from upwell.verbs._firm import as_lines

EPOCHS = 3
WITH_PASSAGES = 100  # pairs that are also learnt with passages, which are eight times as long
PASSAGES = 2  # that a question is shown with
ROWS, CONTEXT = 2, 1024
RANK, RATE, WARMUP = 16, 4e-4, 5


def taught(firm) -> tuple[dict, str]:
    """Teach firm.base by its questions into firm.out/model, or go on with it."""
    from upwell.evaluation import interval
    from upwell.run import going
    from upwell.verbs.pretrain import pictures

    data = chats(firm)
    chosen = firm.kept.get("steps", firm.key)
    if chosen is None:
        aside(firm.out / "model")
        steps = firm.settings.steps or steps_within(settings_for(firm, data, steps=0), firm.settings.minutes)
        chosen = firm.kept.put("steps", firm.key, steps=steps)
    result = going.train(settings_for(firm, data, chosen["steps"]))
    pictures(result)
    before, after = (scores["loss"] for scores in (result.before, result.scores))
    kept = {"steps": result.steps, "tokens": result.tokens, "seconds": result.seconds, "loss": after.value}
    return kept, (f"{result.steps:,} steps, {result.tokens:,} tokens in {terminal.duration(result.seconds)}; loss of "
                  f"held-out answers {interval('loss', before)}, then {interval('loss', after)}")  # fmt: skip


def aside(model: Path) -> None:
    """A model of other text or other settings makes room; it stays, in place of the one before it."""
    if not model.exists():
        return
    old = model.with_name("model-before")
    shutil.rmtree(old, ignore_errors=True)
    os.replace(model, old)
    terminal.say(f"The text, the model or the settings have changed; the model of before is now {old}.")


def chats(firm) -> Path:
    """The prepared folder of chats that are learnt, and of held-out ones without passages."""
    from upwell.verbs import prepare

    file = firm.out / "chats.jsonl"
    write_file(file, as_lines(records(firm)))
    wanted = prepare.Settings(paths=(file,), out=firm.out / "chats", tokenizer=firm.base, split="given", near=1.0,
                              repeated=0, skip=("quality", "privacy", "secrets", "language"))  # fmt: skip
    prepare.prepare(wanted)
    return wanted.out


def records(firm) -> list[dict]:
    """The chats in the layout that `upwell prepare` reads."""
    learnt, held = firm.questions("train"), firm.questions("heldout")[: firm.settings.questions]
    found = [chat(one["question"], one["said"], "train") for one in learnt]
    found += [chat(one["question"], one["said"], "heldout") for one in held]
    some = learnt[:WITH_PASSAGES]
    with terminal.Progress("search", total=len(some)) as bar:
        for number, one in enumerate(some, start=1):
            found += with_passages(firm.searcher, one)
            bar.update(number)
    return found


def with_passages(searcher, one: dict) -> list[dict]:
    """The question as it is asked with passages; none where the place of its answer is not among them."""
    from upwell.answering.written import prompt

    hits = searcher.find(one["question"], PASSAGES)
    number = next((at for at, hit in enumerate(hits, start=1) if holds(hit.passage, one)), 0)
    if not number:
        return []
    return [chat(prompt(one["question"], hits)[-1]["content"], f"{one['said']} [{number}]", "train")]


def holds(passage, one: dict) -> bool:
    """Whether the answer's place begins in a passage."""
    return passage.source == one["source"] and passage.start <= one["start"] < passage.end


def chat(asked: str, said: str, part: str) -> dict:
    """One question and its answer."""
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"messages": turns, "split": part}


def settings_for(firm, data: Path, steps: int):
    """The settings of the training, as `upwell finetune` knows them."""
    import torch

    from upwell.objectives import instruct
    from upwell.run import settings as running
    from upwell.training import precision
    from upwell.verbs import finetune
    from upwell.verbs._models import usable_device

    dtype = precision.resolve("auto", usable_device("auto"))
    base = "bfloat16" if dtype == torch.bfloat16 else "float32"
    gentle = finetune.gentle()
    training = replace(gentle, rows=ROWS, context=min(CONTEXT, context_of(firm.base)), steps=max(1, steps),
                       precision=base, seed=firm.settings.seed,
                       schedule=replace(gentle.schedule, warmup=WARMUP))  # fmt: skip
    kind = running.kind(finetune.Settings, "instruct")
    return kind(model=firm.base, data=data, out=firm.out / "model", objective="instruct", epochs=0.0, show=0,
                evaluations=1, answers=0, samples=0, save_seconds=30, learn=instruct.Settings(long="drop"),
                lora=running.Lora(rank=RANK, rate=RATE, base=base), training=training)  # fmt: skip


def context_of(folder: Path) -> int:
    """The tokens that a model reads."""
    from upwell.model import hub

    return hub.read_config(folder).context


def steps_within(wanted, minutes: float) -> int:
    """As many steps as fit into the minutes, but no more than EPOCHS times all chats."""
    from upwell.run import going, opening
    from upwell.training import parallel, precision
    from upwell.verbs._models import usable_device

    group = parallel.Alone(usable_device(wanted.device))
    job = opening.opened(wanted, group.device, group)
    training = wanted.training
    per_epoch = job.sampler(training.rows, training.seed).samples_per_epoch
    seconds, _ = going.timed(job, wanted, training, precision.resolve(training.precision, group.device), group)
    fit, all_of_it = round(60 * minutes / seconds), math.ceil(EPOCHS * per_epoch / training.rows)
    steps = max(going.LEAST_STEPS, min(fit, all_of_it))
    terminal.say(f"Probe: {seconds:.2f} s a step, so {minutes:g} minutes are {fit:,} steps; {EPOCHS} times all of the "
                 f"questions are {all_of_it:,}: {steps:,} steps.")  # fmt: skip
    return steps
