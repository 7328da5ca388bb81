"""Fine-tuning beside the scripts that people use, in turn in one run, ratios printed.

    python bench/finetune.py                                 all works, three rounds
    python bench/finetune.py --works topics chats --rounds 1 --markdown FILE
    python bench/finetune.py --works topics --profile        where our time goes, one thread, by torch's profiler

topics        a classifier from minilm-l6 on wiki-topics, texts of unequal length; transformers' Trainer, its defaults
translation   6 + 6 layers x 256 in T5's layout from scratch on interface texts (one to eight joined); Seq2SeqTrainer
chats         adapters on smollm2-135m, "What is X?"; peft and Trainer
embeddings    titles and introductions drawn together, minilm-l6; sentence-transformers' trainer

Both sides read the same prepared texts, take the same rates and as many steps; the peers in float32 with their usual
collators, ours as `upwell finetune` (translation: `upwell pretrain`) runs, with what it chooses by itself. Each side is
a process of its own. Tokens are real ones, padding left out, from the third step on; memory is the peak of a side's
process; loss and accuracy are those of the same held-out examples, measured in float32 by the peer's library, on the
folder that ours writes. Run it on a quiet machine.
"""

import argparse
import json
import random
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
VOCABULARY = 8192
HELD = 96


@dataclass(frozen=True)
class Work:
    """One kind of fine-tuning. rows: of the peer's step; ours: flags beside those of all works."""

    model: str
    rows: int
    steps: int
    context: int
    examples: int
    rate: float
    ours: str
    peer: str


WORKS = {
    "topics": Work("minilm-l6", 16, 10, 512, 1500, 5e-5, "--objective label --learn.cut --training.rows 16",
                   "transformers' Trainer"),
    "translation": Work("", 32, 10, 256, 1500, 5e-4, "--objective pairs --learn.cut --training.rows 32 "
                        "--training.compile off",
                        "Seq2SeqTrainer"),
    "chats": Work("smollm2-135m", 8, 5, 512, 400, 2e-4, "--objective instruct --learn.long cut --training.rows 3 "
                  "--lora.rank 16 --lora.alpha 32 --lora.dropout 0", "peft and Trainer"),
    "embeddings": Work("minilm-l6", 32, 12, 256, 1500, 5e-5, "--objective contrast --learn.cut --learn.no-both "
                       "--training.rows 32", "sentence-transformers' trainer"),
}  # fmt: skip
MODEL = "--model.family t5 --model.width 256 --model.layers 6 --model.heads 4 --model.dropout 0.1"
ALL = ("--evaluations 0 --answers 0 --samples 0 --save-seconds 10000 --training.optim.name adamw "
       "--training.optim.weight-decay 0 --training.schedule.warmup 0 --training.seed 1")  # fmt: skip


# ---- data ----


def records(name: str) -> list[dict]:
    """The texts of a work, in the layout that `upwell prepare` recognises."""
    from upwell import catalog

    def lines(corpus: str, language: str) -> list[dict]:
        path = catalog.fetch(corpus, language)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    if name == "translation":
        found, choose = lines("ui-pairs", "zh"), random.Random(1)
        choose.shuffle(found)
        made = []
        while len(made) < WORKS[name].examples:
            some = [found.pop() for _ in range(choose.randint(1, 8))]
            made.append({"source": "\n".join(one["source"] for one in some), "source_language": "en",
                         "target": "\n".join(one["target"] for one in some), "target_language": "zh"})  # fmt: skip
        return made
    found = [one for one in lines("wiki-intros", "en") if one["label"]]
    random.Random(1).shuffle(found)
    found = found[: WORKS[name].examples]
    if name == "topics":
        return [{"text": one["text"], "label": one["label"]} for one in found]
    told = [(one["title"], one["text"].partition("\n\n")[2]) for one in found]
    if name == "embeddings":
        return [{"source": title, "target": text} for title, text in told]
    return [{"messages": [{"role": "user", "content": f"What is {title}?"}, {"role": "assistant", "content": text}]}
            for title, text in told]  # fmt: skip


def prepare(folder: Path, name: str) -> None:
    """A prepared folder of a work."""
    from upwell import cli, weights
    from upwell.tokens import kinds

    place, made = folder / name, records(name)
    with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in made)
    if WORKS[name].model:
        tokenizer = weights.find(Path(WORKS[name].model))
    else:
        tokenizer = folder / "tokenizer"
        texts = [text for one in made for text in (one["source"], one["target"])]
        kinds.train(texts, kinds.Wanted(VOCABULARY, "unigram", ())).save(tokenizer)
    words = [str(folder / f"{name}.jsonl"), "--out", str(place), "--tokenizer", str(tokenizer), "--near", "0",
             "--heldout", "0.1", "--skip", "privacy", "quality", "language", "length"]  # fmt: skip
    if code := cli.main(["prepare", *words]):
        raise SystemExit(f"upwell prepare {' '.join(words)} ended with {code}")


def fields(folder: Path, name: str, part: str) -> list[dict]:
    """The examples of a part of a prepared folder."""
    from upwell import prepared

    return [dict(one.fields) for one in prepared.documents_of(folder / name / f"{part}.jsonl")]


def examples(folder: Path, name: str, part: str, model: str) -> list:
    """The same as the peer's trainer takes them."""
    import peers_finetune as peers

    found = fields(folder, name, part)
    if name == "topics":
        names = sorted({one["label"] for one in fields(folder, name, "train")})
        found = [one for one in found if one["label"] in names]
        return peers.labelled(model, [one["text"] for one in found], [names.index(one["label"]) for one in found])
    if name == "chats":
        return peers.chats(model, [one["messages"] for one in found], WORKS[name].context)
    pairs = [(one["source"], one["target"]) for one in found]
    return pairs if name == "embeddings" else peers.translated(model, pairs)


def model_of(folder: Path, name: str) -> str:
    """The folder whose tokenizer, and model where there is one, a work begins with."""
    from upwell import weights

    return str(weights.find(Path(WORKS[name].model)) if WORKS[name].model else folder / name)


# ---- sides ----


def theirs(folder: str, name: str) -> dict:
    """The peer."""
    import peers_finetune as peers

    work, folder = WORKS[name], Path(folder)
    place = model_of(folder, name)
    learnt = examples(folder, name, "train", place)
    if name == "topics":
        count = len({one["labels"] for one in learnt})
        found, model = peers.topics(place, learnt, count, work.rows, work.steps)
    elif name == "translation":
        found, model = peers.translation(layout(folder), place, learnt, work.rows, work.steps, work.rate)
    elif name == "chats":
        found, model = peers.adapted(place, learnt, 16, work.rows, work.steps, work.rate)
    else:
        found, model = peers.embeddings(place, learnt, work.rows, work.steps)
    peak = memory()
    return {"speed": found, "peak": peak} | peers.held_out(name, model, place, held(folder, name, place))


def ours(folder: str, name: str) -> dict:
    """upwell's command, from the metrics that it writes."""
    from upwell import cli

    work, folder = WORKS[name], Path(folder)
    with tempfile.TemporaryDirectory() as out:
        run = Path(out) / "run"
        words = [str(folder / name), "--out", str(run), *ALL.split(), *work.ours.split(),
                 "--training.steps", str(work.steps), "--training.context", str(work.context),
                 f"--{'lora' if '--lora' in work.ours else 'training.optim'}.rate", str(work.rate)]  # fmt: skip
        verb = ["finetune", work.model, "--epochs", "0"] if work.model else ["pretrain", *MODEL.split()]
        if code := cli.main([verb[0], *verb[1:2], *words, *verb[2:]] if work.model else [*verb[:1], *words, *verb[1:]]):
            raise SystemExit(f"upwell {verb[0]} ended with {code}")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        steps = [line for line in lines if "norm" in line]
        tokens, seconds = (steps[-1][key] - steps[1][key] for key in ("tokens", "seconds"))
        peak = memory()
        return {"speed": tokens / seconds, "peak": peak} | judged(folder, name, str(run))


def script(folder: str, name: str) -> dict:
    """The usual script with one import changed."""
    import peers_finetune as peers

    from upwell import hf

    work, folder = WORKS[name], Path(folder)
    place = model_of(folder, name)
    learnt = examples(folder, name, "train", place)
    with tempfile.TemporaryDirectory() as out:
        found = peers.unchanged(hf, place, learnt, len({one["labels"] for one in learnt}), work.rows, work.steps, out)
        peak = memory()
        return {"speed": found, "peak": peak} | judged(folder, name, out)


def judged(folder: Path, name: str, run: str) -> dict:
    """The held-out measures of a folder, read by the peer's library."""
    import peers_finetune as peers
    import transformers

    kinds = {"topics": "AutoModelForSequenceClassification", "translation": "T5ForConditionalGeneration",
             "chats": "AutoModelForCausalLM"}  # fmt: skip
    if name == "embeddings":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(run, device="cpu")
    else:
        model = getattr(transformers, kinds[name]).from_pretrained(run)
    place = model_of(folder, name)
    return peers.held_out(name, model, place, held(folder, name, place))


def held(folder: Path, name: str, place: str) -> list:
    """Held-out examples."""
    return examples(folder, name, "heldout", place)[: HELD if name != "chats" else 16]


def layout(folder: Path) -> dict:
    """config.json of the translation model: what `upwell pretrain` makes of the same flags."""
    from upwell import plugs
    from upwell.model import preset
    from upwell.model.sizes import Sizes
    from upwell.run.opening import special
    from upwell.tokens.tokenizer import Tokenizer

    tokenizer, work = Tokenizer.load(folder / "translation"), WORKS["translation"]
    sizes = Sizes("t5", 256, 6, 4, dropout=0.1)
    config = preset.config(sizes, tokenizer.vocab_size, work.context, tokenizer.end, special(tokenizer))
    return plugs.find("model/families", config.family).to_hf(config)


def memory() -> float:
    """Peak of this process's resident memory, MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def profiled(folder: str, name: str) -> dict:
    """Prints torch's profile of our steps from the fourth one on, on one thread."""
    from unittest import mock

    import torch
    from torch.profiler import ProfilerActivity, profile

    from upwell.training import loop

    torch.set_num_threads(1)
    train = loop.train

    def watched(state, sampler, objective, options, s, dtype, every, warn, group):
        train(state, sampler, objective, options, replace(s, steps=3), dtype, (), warn, group)
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            done = train(state, sampler, objective, options, s, dtype, every, warn, group)
        events = sorted(seen.key_averages(), key=lambda one: -one.self_cpu_time_total)
        whole = sum(one.self_cpu_time_total for one in events)
        for one in events[:16]:
            share = one.self_cpu_time_total / whole
            print(f"{share:6.1%} {one.self_cpu_time_total / 1e3:9.0f} ms {one.count:6,} calls  {one.key}")
        return done

    with mock.patch.object(loop, "train", watched):
        return ours(folder, name)


def table(names: list[str], rounds: int, folder: str) -> list[str]:
    """Rows of a Markdown table."""
    from pretrain import spread
    from turns import in_turn

    lines = ["| work | side | real tokens/s | times the peer | peak memory, MB | held-out loss | accuracy |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        for name in names:
            peer = WORKS[name].peer
            verb = "finetune" if WORKS[name].model else "pretrain"
            sides = {peer: ("finetune", f"theirs({folder!r}, {name!r})"),
                     f"upwell {verb}": ("finetune", f"ours({folder!r}, {name!r})")}  # fmt: skip
            if name == "topics":
                sides["the script, one import changed"] = ("finetune", f"script({folder!r}, {name!r})")
            print(name, flush=True)
            found = in_turn(sides, rounds, cache)
            speeds = [one["speed"] for one in found[peer]]
            for side, values in found.items():
                ratios = [one["speed"] / other for one, other in zip(values, speeds, strict=True)]
                right = [one["accuracy"] for one in values if "accuracy" in one]
                cells = (name, side, spread([one["speed"] for one in values], 0), spread(ratios, 2),
                         spread([one["peak"] for one in values], 0), spread([one["loss"] for one in values], 3),
                         spread(right, 3) if right else "")  # fmt: skip
                lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(HERE))
    from pretrain import machine
    from turns import threads

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.works:
            prepare(Path(folder), name)
        if given.profile:
            for name in given.works:
                print(name, profiled(folder, name), flush=True)
            return
        lines = [f"{machine()}, {given.rounds} rounds in turn, {threads()} threads, median (lowest-highest)", ""]
        lines += table(given.works, given.rounds, folder)
    print("\n".join(lines))
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
