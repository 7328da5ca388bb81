"""Prepare: whole or not at all, the same each time, and every document accounted for."""

import dataclasses
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from upwell import cli
from upwell.atomic import alone
from upwell.errors import DataError, ServiceError, SettingsError
from upwell.prepared import opened, prepare
from upwell.text import blocks
from upwell.text.steps import privacy, toxic
from upwell.tokens import store as store_room
from upwell.tokens.store import Store
from upwell.tokens.tokenizer import Tokenizer, train
from upwell.verbs import tokenizer
from upwell.verbs.prepare import Settings

WORDS = "the river runs slowly through old towns where people sell bread and fish under grey stone bridges".split()


def sentence_of(rng):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(6, 14))).capitalize() + "."


def corpus(folder, documents=120, seed=0):
    """A folder with documents that are all different, as JSON lines and plain text."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    texts = [" ".join(sentence_of(rng) for _ in range(6)) for _ in range(documents)]
    lines = [json.dumps({"text": text, "title": f"T{number}"}) for number, text in enumerate(texts[2:])]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "b.txt").write_text(texts[0], encoding="utf-8")
    (folder / "c.md").write_text(texts[1] + "\r\n\x07", encoding="utf-8")
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def usual(tmp_path, **more):
    return Settings(paths=(corpus(tmp_path / "text"),), out=tmp_path / "out", vocab_size=400, **more)


def test_every_document_is_learnt_held_out_or_left_out_with_a_reason(tmp_path):
    text = corpus(tmp_path / "text")
    first = lines_of(text / "a.jsonl")[0]["text"]
    more = [first, first + " Indeed.", " \n", first + "\n\n"]
    (text / "z.jsonl").write_text("\n".join(json.dumps({"text": one}) for one in more), encoding="utf-8")
    prepared = prepare(Settings(paths=(text,), out=tmp_path / "out", vocab_size=400))
    report = prepared.report
    learnt, held = lines_of(tmp_path / "out" / "train.jsonl"), lines_of(tmp_path / "out" / "heldout.jsonl")
    dropped = lines_of(tmp_path / "out" / "dropped.jsonl")
    assert report["read"]["documents"] == 124 == len(learnt) + len(held) + len(dropped) and prepared.dropped == 4
    reasons = {step["name"]: step["dropped"] for step in report["steps"] if step["dropped"]}
    assert reasons == {"length": {"empty": 1}, "near": {"near repetition": 1}, "exact": {"repetition": 2}}
    assert [step["in"] for step in report["steps"]] == sorted((step["in"] for step in report["steps"]), reverse=True)
    assert {one["source"].rpartition(":")[2] for one in dropped} == {"1", "2", "3", "4"}
    assert report["train"]["documents"] == len(learnt) and report["heldout"]["documents"] == len(held) > 0
    assert {"text", "source", "title", "language"} == set(learnt[0])
    assert all(not set("\r\x07") & set(one["text"]) for one in learnt + held)


def test_the_tokens_are_those_of_the_texts_and_the_bytes_are_counted(tmp_path):
    prepared = prepare(usual(tmp_path))
    for part, store in (("train", prepared.train), ("heldout", prepared.heldout)):
        texts = [one["text"] for one in lines_of(tmp_path / "out" / f"{part}.jsonl")]
        assert [prepared.tokenizer.decode(store.document(number)) for number in range(store.documents)] == texts
        assert store.text_bytes == sum(len(text.encode()) for text in texts)
        assert store.tokenizer == prepared.tokenizer.hash and store.vocab_size == prepared.tokenizer.vocab_size


def test_the_same_text_and_settings_give_the_same_bytes(tmp_path):
    prepare(usual(tmp_path))
    once = contents(tmp_path / "out")
    prepare(Settings(paths=(tmp_path / "text",), out=tmp_path / "again", vocab_size=400))
    assert contents(tmp_path / "again") == once


def test_work_that_is_done_is_not_done_again_until_text_or_settings_change(tmp_path):
    settings = usual(tmp_path)
    assert prepare(settings).fresh
    assert not prepare(settings).fresh
    assert prepare(usual(tmp_path, seed=1)).fresh
    (tmp_path / "text" / "new.txt").write_text("One more text.", encoding="utf-8")
    assert prepare(Settings(paths=settings.paths, out=settings.out, vocab_size=400, seed=1)).fresh
    (tmp_path / "out" / "train" / "tokens-00000.bin").write_bytes(b"cut")
    assert prepare(Settings(paths=settings.paths, out=settings.out, vocab_size=400, seed=1)).fresh


def test_what_the_steps_read_decides_too_and_a_lost_map_is_made_again(tmp_path):
    made, words = tmp_path / "map.json", tmp_path / "words.txt"
    words.write_text("bread", encoding="utf-8")
    more = {"privacy": privacy.Settings(map=made), "toxic": toxic.Settings(words=str(words))}
    settings = usual(tmp_path, **more)
    assert prepare(settings).fresh and made.is_file()
    made.unlink()
    assert prepare(settings).fresh and made.is_file() and not prepare(settings).fresh
    words.write_text("fish", encoding="utf-8")
    assert prepare(settings).fresh


def test_a_given_tokenizer_is_used_and_kept(tmp_path):
    train(["some other text " * 20], 300).save(tmp_path / "tokenizer")
    prepared = prepare(usual(tmp_path, tokenizer=tmp_path / "tokenizer"))
    assert prepared.tokenizer.hash == Tokenizer.load(tmp_path / "tokenizer").hash
    assert Tokenizer.load(tmp_path / "out").hash == prepared.tokenizer.hash


def test_the_tokenizer_learns_nothing_from_the_held_out_text(tmp_path):
    prepared = prepare(usual(tmp_path))
    learnt = [one["text"] for one in lines_of(tmp_path / "out" / "train.jsonl")]
    assert train(learnt, 400).hash == prepared.tokenizer.hash


def test_an_example_of_which_a_part_is_empty_after_cleaning_is_left_out_and_named(tmp_path):
    text = corpus(tmp_path / "text")
    asked = {"role": "user", "content": "Hello"}
    rows = [{"messages": [asked, {"role": "assistant", "content": "\u200b\ufeff\u202e"}]},
            {"source": "\u200b", "target": "the sea"}, {"question": "Where?", "context": "Here.", "answer": "\u00ad"},
            {"messages": [asked, {"role": "assistant", "content": "Good day."}]}]  # fmt: skip
    lines = "\n".join(json.dumps(row) for row in rows)
    (text / "d.jsonl").write_text(lines, encoding="utf-8")
    made = prepare(Settings(paths=(text,), out=tmp_path / "out", vocab_size=400))
    found = {Path(one["source"]).name: one["detail"] for one in lines_of(made.folder / "dropped.jsonl")
             if one["reason"] == "a part is empty"}  # fmt: skip
    told = {"d.jsonl:1": "messages[1]", "d.jsonl:2": "source", "d.jsonl:3": "answers[0]"}
    assert found == {place: f"{part}, after cleaning" for place, part in told.items()}
    assert made.report["tasks"] == {"chat": 1}


def test_one_short_book_is_divided_so_that_a_part_can_be_held_out(tmp_path):
    rng = random.Random(1)
    book = "\n\n".join(" ".join(sentence_of(rng) for _ in range(5)) for _ in range(120))
    (tmp_path / "book.txt").write_text(book, encoding="utf-8")
    prepared = prepare(Settings(paths=(tmp_path / "book.txt",), out=tmp_path / "out", vocab_size=400))
    assert prepared.train.documents > 10 and prepared.heldout.documents >= 1


def test_the_progress_is_told_and_rises(tmp_path):
    told = []
    prepare(usual(tmp_path), lambda stage, done, total: told.append((stage, done / total)))
    assert [share for _, share in told] == sorted(share for _, share in told) or told[-1][1] == 1
    assert told[-1] == ("done", 1)


def refused(tmp_path, capsys, *words):
    """The one sentence of a call that exits with 2 and leaves nothing behind."""
    assert cli.main(["prepare", *map(str, words), "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    told = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in told)
    return "\n".join(line for line in told if not line.startswith("prepare "))


def test_an_empty_folder_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "holds no files" in refused(tmp_path, capsys, tmp_path / "empty")


def test_a_binary_file_among_the_texts_is_refused_or_left_out_by_wish(tmp_path, capsys):
    text = corpus(tmp_path / "text")
    (text / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    assert "picture.png: a binary file" in refused(tmp_path, capsys, text)
    assert cli.main(["prepare", str(text), "--out", str(tmp_path / "out"), "--skip-unreadable"]) == 0
    assert "1 file or line could not be read" in capsys.readouterr().err


def test_after_the_first_fault_the_rest_is_only_looked_through_for_faults(tmp_path, monkeypatch):
    text = corpus(tmp_path / "text")
    monkeypatch.setattr(blocks, "TASK", 1)
    for name in ("a0", "d", "e"):
        (text / f"{name}.jsonl").write_text("not json", encoding="utf-8")
    asked, steps = [], blocks.steps_of
    monkeypatch.setattr(blocks, "steps_of", lambda wanted, *more: asked.append(len(wanted)) or steps(wanted, *more))
    settings = usual(tmp_path)
    with pytest.raises(DataError, match="3 files or lines"):
        prepare(settings)
    assert asked == [8, 8, 0, 0, 0, 0]
    asked.clear()
    prepare(dataclasses.replace(settings, skip_unreadable=True))
    assert asked == [8] * 6


def test_what_is_left_out_by_wish_is_counted_beyond_what_is_listed(tmp_path, capsys):
    text = corpus(tmp_path / "text")
    (text / "noise.jsonl").write_text("not json\n" * 70, encoding="utf-8")
    words = [str(text), "--out", str(tmp_path / "out"), "--skip-unreadable", "--max-errors", "3"]
    assert cli.main(["prepare", *words]) == 0
    assert "70 files or lines could not be read and stayed out" in capsys.readouterr().err
    found = opened(tmp_path / "out").report
    assert found["unreadable"] == 70 and len(found["faults"]) == 3


def test_a_file_that_cannot_be_opened_is_told_with_the_other_faults_or_left_out_by_wish(tmp_path, capsys):
    text = corpus(tmp_path / "text")
    (text / "lost.txt").symlink_to(tmp_path / "nowhere")
    (text / "noise.jsonl").write_text("not json", encoding="utf-8")
    told = refused(tmp_path, capsys, text)
    assert "lost.txt: cannot be read" in told and "noise.jsonl:1: expected a JSON object" in told
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert cli.main(["prepare", str(text), "--out", str(tmp_path / "out"), "--skip-unreadable"]) == 0
    assert "2 files or lines could not be read" in capsys.readouterr().err


def test_a_file_in_an_unknown_encoding_is_refused(tmp_path, capsys):
    text = corpus(tmp_path / "text")
    (text / "noise.txt").write_bytes(bytes(32 + (n * n * 7919 + n // 3) % 224 for n in range(4000)))
    assert "noise.txt: neither UTF-8 nor any encoding" in refused(tmp_path, capsys, text)


def test_ten_lines_are_too_little_and_the_sentence_says_how_much_is_needed(tmp_path, capsys):
    (tmp_path / "ten.txt").write_text("A line of text.\n" * 10, encoding="utf-8")
    told = refused(tmp_path, capsys, tmp_path / "ten.txt")
    assert "160 characters in 1 documents" in told and "20,000 are needed" in told and "upwell fetch" in told
    assert len(told.splitlines()) == 1


def test_ten_lines_a_thousand_times_are_too_little_too(tmp_path, capsys):
    lines = [json.dumps({"text": f"line {number % 10} " * 5}) for number in range(10_000)]
    (tmp_path / "same.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert "add text that differs" in refused(tmp_path, capsys, tmp_path / "same.jsonl")


def test_text_that_the_steps_leave_out_wholly_is_told(tmp_path, capsys):
    lines = [json.dumps({"text": f"{number} buy cheap pills now " * 40}) for number in range(100)]
    (tmp_path / "spam.jsonl").write_text("\n".join(lines), encoding="utf-8")
    told = refused(tmp_path, capsys, tmp_path / "spam.jsonl")
    assert "0 documents remain" in told and "upwell prepare" in told


def test_a_full_disk_leaves_the_old_folder_whole(tmp_path, monkeypatch):
    settings = usual(tmp_path)
    prepare(settings)
    before = contents(tmp_path / "out")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_room._Writer, "_spill", full)
    with pytest.raises(ServiceError, match="The disk is full"):
        prepare(usual(tmp_path, seed=5))
    assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text"]


def test_a_disk_that_is_full_in_the_words_of_numpy_is_told_as_one(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("131675 requested and 33776 written")

    monkeypatch.setattr(blocks.np, "save", full)
    with pytest.raises(ServiceError, match="The disk is full"):
        prepare(usual(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are the affair of Unix")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("limit", [0, 4_000, 20_000, 40_000, 80_000, 120_000, 200_000])
def test_a_disk_that_is_full_at_any_moment_leaves_the_old_folder_and_nothing_else(tmp_path, limit, workers):
    import resource

    prepare(usual(tmp_path))
    before = contents(tmp_path / "out")
    call = [sys.executable, "-m", "upwell", "prepare", str(tmp_path / "text"), "--out", str(tmp_path / "out")]
    found = subprocess.run(
        [*call, "--vocab-size", "1000", "--seed", "3", "--workers", workers],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    if found.returncode:
        assert found.returncode == 2 and "The disk is full" in found.stderr and "Traceback" not in found.stderr
        assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text"]


def test_ctrl_c_leaves_nothing_half_written_and_the_same_command_goes_on(tmp_path, monkeypatch):
    def stop(stage, done, total):
        if stage == "tokens":
            raise KeyboardInterrupt

    settings = usual(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        prepare(settings, stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.work", "text"]
    made = []
    monkeypatch.setattr(blocks._Maker, "made", lambda self: made.append(self))
    prepare(settings)
    assert not made and sorted(path.name for path in tmp_path.iterdir()) == ["out", "text"]
    with pytest.raises(TypeError):
        prepare(usual(tmp_path, skip=("quality",)))
    assert made


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    (tmp_path / ".out.work").mkdir()
    with alone(tmp_path / ".out.work" / "lock"), pytest.raises(ServiceError, match="Another run is at work"):
        prepare(usual(tmp_path))
    assert prepare(usual(tmp_path)).fresh


def test_the_number_of_workers_and_the_memory_change_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "TASK", 5000)  # many blocks
    prepare(usual(tmp_path))
    for name, more in (("two", {"workers": 2}), ("small", {"memory": 1e-5})):
        prepare(Settings(paths=(tmp_path / "text",), out=tmp_path / name, vocab_size=400, **more))
        assert contents(tmp_path / name) == contents(tmp_path / "out")


def test_a_very_large_file_is_kept_in_several_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BATCH", 1500)
    monkeypatch.setattr(blocks, "BLOCK", 4000)
    prepare(usual(tmp_path, memory=1e-5))
    monkeypatch.undo()
    prepare(Settings(paths=(tmp_path / "text",), out=tmp_path / "one", vocab_size=400))
    assert contents(tmp_path / "one") == contents(tmp_path / "out")


def test_chats_are_written_by_the_template_and_its_hash_is_checked(tmp_path):
    rng = random.Random(5)
    turns = [[{"role": "user", "content": sentence_of(rng)}, {"role": "assistant", "content": sentence_of(rng)}]
             for _ in range(300)]  # fmt: skip
    lines = "\n".join(json.dumps({"messages": one}) for one in turns)
    (tmp_path / "chats.jsonl").write_text(lines, encoding="utf-8")
    train(["some other text " * 20], 300).save(tmp_path / "tokenizer")
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|endoftext|>\n{% endfor %}"
    (tmp_path / "tokenizer" / "chat_template.jinja").write_text(template, encoding="utf-8")
    settings = Settings(paths=(tmp_path / "chats.jsonl",), out=tmp_path / "out", tokenizer=tmp_path / "tokenizer")
    prepared = prepare(settings)
    first = lines_of(tmp_path / "out" / "train.jsonl")[0]
    written = "".join(f"[{one['role']}] {one['content']}\n" for one in first["fields"]["messages"])
    assert first["kind"] == "dialogue" and prepared.tokenizer.decode(prepared.train.document(0)) == written
    assert prepared.report["tasks"] == {"chat": 300}
    (tmp_path / "out" / "chat_template.jinja").write_text(template + " ", encoding="utf-8")
    with pytest.raises(DataError, match="chat template is not the one"):
        opened(tmp_path / "out")


def test_kill_9_at_any_moment_and_the_same_command_gives_the_same_bytes(tmp_path):
    corpus(tmp_path / "text", documents=4000)
    call = [sys.executable, "-m", "upwell", "prepare", str(tmp_path / "text"), "--vocab-size", "400", "--out"]
    subprocess.run([*call, str(tmp_path / "whole")], check=True, capture_output=True)
    for wait in (0.8, 1.3, 1.8, 2.5):
        process = subprocess.Popen([*call, str(tmp_path / "out")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        process.kill()
        process.wait()
    subprocess.run([*call, str(tmp_path / "out")], check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text", "whole"]


def test_a_line_in_too_many_documents_stays_in_the_first_only(tmp_path):
    rng, notice = random.Random(3), "Share this page with all of your friends today!"
    lines = [json.dumps({"text": f"{' '.join(sentence_of(rng) for _ in range(6))}\n{notice}"}) for _ in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    prepared = prepare(Settings(paths=(tmp_path / "a.jsonl",), out=tmp_path / "out", vocab_size=400))
    texts = {one["source"]: one["text"] for part in ("train", "heldout")
             for one in lines_of(tmp_path / "out" / f"{part}.jsonl")}  # fmt: skip
    assert [source.rpartition(":")[2] for source, text in texts.items() if notice in text] == ["1"]
    changed = {step["name"]: step["changed"] for step in prepared.report["steps"]}
    assert changed["paragraphs"] == {"repeated line or paragraph removed": 59}


def test_weights_draw_a_part_of_a_source_or_take_it_several_times(tmp_path):
    for name, seed in (("few", 1), ("many", 2)):
        corpus(tmp_path / name, documents=200, seed=seed)
    settings = Settings(paths=(tmp_path / "few", tmp_path / "many"), weights=(0.5, 2), out=tmp_path / "out",
                        vocab_size=400)  # fmt: skip
    prepared = prepare(settings)
    learnt = lines_of(tmp_path / "out" / "train.jsonl")
    few = [one["text"] for one in learnt if "few" in one["source"]]
    many = Counter(one["text"] for one in learnt if "many" in one["source"])
    assert 70 < len(few) < 120 and set(many.values()) == {2}
    assert prepared.report["steps"][-1]["dropped"]["not drawn"] == 200 - len(few) - sum(
        "few" in one["source"] for one in lines_of(tmp_path / "out" / "heldout.jsonl"))  # fmt: skip


def test_whole_files_can_be_held_out(tmp_path):
    rng = random.Random(4)
    for number in range(40):
        lines = [json.dumps({"text": " ".join(sentence_of(rng) for _ in range(6))}) for _ in range(5)]
        (tmp_path / "text").mkdir(exist_ok=True)
        (tmp_path / "text" / f"{number:02}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    prepare(Settings(paths=(tmp_path / "text",), out=tmp_path / "out", vocab_size=400, split="source", heldout=0.2))
    files = [{one["source"].rpartition(":")[0] for one in lines_of(tmp_path / "out" / f"{part}.jsonl")}
             for part in ("train", "heldout")]  # fmt: skip
    assert files[1] and not files[0] & files[1]


def test_records_can_say_their_part_themselves_and_repetitions_can_stay(tmp_path):
    rng = random.Random(5)
    texts = [" ".join(sentence_of(rng) for _ in range(9)) for _ in range(60)]
    texts[50], texts[7] = texts[3], texts[2]
    said = ["test" if number >= 40 else "train" for number in range(60)]
    lines = [json.dumps({"text": text, "label": number % 2, "split": part})
             for number, (text, part) in enumerate(zip(texts, said, strict=True))]  # fmt: skip
    (tmp_path / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    settings = Settings(paths=(tmp_path / "data.jsonl",), out=tmp_path / "out", vocab_size=400, split="given", near=0)
    made = prepare(settings)
    parts = {name: [one["text"] for one in lines_of(tmp_path / "out" / f"{name}.jsonl")]
             for name in ("train", "heldout")}  # fmt: skip
    assert parts == {"train": texts[:40], "heldout": texts[40:]} and not made.dropped
    again = Settings(paths=tuple(tmp_path / "out" / f"{name}.jsonl" for name in parts), out=tmp_path / "again",
                     vocab_size=400, split="given", near=1)  # fmt: skip
    prepare(again)  # what was prepared says its part, too
    assert [one["text"] for one in lines_of(tmp_path / "again" / "heldout.jsonl")] == texts[40:50] + texts[51:]


def test_what_was_masked_can_be_put_back(tmp_path):
    text = corpus(tmp_path / "text")
    rng = random.Random(9)
    letter = " ".join(sentence_of(rng) for _ in range(5)) + " Write to jane.doe@riverbank.org today."
    (text / "letter.txt").write_text(letter, encoding="utf-8")
    made = tmp_path / "map.json"
    prepare(Settings(paths=(text,), out=tmp_path / "out", vocab_size=400, privacy=privacy.Settings(map=made)))
    everything = "".join(one["text"] for part in ("train", "heldout")
                         for one in lines_of(tmp_path / "out" / f"{part}.jsonl"))  # fmt: skip
    assert "jane.doe" not in everything and "jane.doe" not in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert letter in privacy.unmask(everything, json.loads(made.read_text(encoding="utf-8")))


def test_something_else_is_never_overwritten(tmp_path):
    text = corpus(tmp_path / "text")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(SettingsError, match="is no prepared folder"):
        prepare(Settings(paths=(text,), out=tmp_path / "mine"))
    for out in (text, text / "inside", tmp_path):
        with pytest.raises(SettingsError, match="inside each other"):
            prepare(Settings(paths=(text,), out=out))
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "precious"


def test_a_missing_path_is_named(tmp_path, capsys):
    assert cli.main(["prepare", str(tmp_path / "nothing-here"), "--show", "causal"]) == 2
    assert "nothing-here does not exist" in capsys.readouterr().err
    with pytest.raises(DataError, match="nothing-here does not exist"):
        prepare(Settings(paths=(tmp_path / "nothing-here",), out=tmp_path / "out"))


@pytest.mark.parametrize("wrong", [{"heldout": 0.0}, {"heldout": 1.5}, {"near": 1.5}, {"paths": ()}])
def test_impossible_settings_are_one_sentence(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected"):
        Settings(**{"paths": (tmp_path,)} | wrong)
    flags = [str(word) for key, value in wrong.items() if value != () for word in (tmp_path, f"--{key}", value)]
    assert cli.main(["prepare", *flags]) == 2


def test_the_verb_prints_its_counts(tmp_path, capsys):
    text = corpus(tmp_path / "text")
    assert cli.main(["prepare", str(text), "--out", str(tmp_path / "out"), "--vocab-size", "400"]) == 0
    told = capsys.readouterr()
    assert "120 documents in 3 files" in told.out and "upwell pretrain" in told.err
    assert cli.main(["prepare", str(text), "--out", str(tmp_path / "out"), "--vocab-size", "400"]) == 0
    assert "up to date" in capsys.readouterr().err
    assert Store(tmp_path / "out" / "train").documents > 80


def test_what_was_recognised_and_what_is_odd_about_it_is_said(tmp_path, capsys):
    text = corpus(tmp_path / "text")
    turns = [{"role": role, "content": f"Hello {role}"} for role in ("user", "user", "assistant")]
    rows = [{"messages": turns}, {"text": "A fine day.", "label": 1}, {"en": "the sea", "zh": "海"}]
    (text / "d.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["prepare", str(text), "--out", str(tmp_path / "out"), "--vocab-size", "400", "--heldout", "0.001"]
    assert cli.main(words) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "of 123 documents that stayed: 1 chats, 1 texts with labels, 1 pairs, 120 of plain prose." in told
    assert "d.jsonl mixes layouts: 1 chat" in told and "a role speaks twice in a row: 1, first" in told
    assert len(opened(tmp_path / "out").report["notes"]) == 2
    assert "mixes layouts" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_dry_run_shows_examples_from_files_that_lie_all_over_and_writes_nothing(tmp_path, capsys):
    text = tmp_path / "text"
    text.mkdir()
    rng = random.Random(0)
    for number in range(35):
        lines = "\n".join(json.dumps({"text": f"{sentence_of(rng)} {line}"}) for line in range(20))
        (text / f"{number:02}.jsonl").write_text(lines, encoding="utf-8")
    assert cli.main(["prepare", str(text), "--dry-run", "--out", str(tmp_path / "out")]) == 0
    shown = re.findall(r"(\d\d)\.jsonl:(\d+)", capsys.readouterr().out)
    assert shown == [("00", "1"), ("00", "2"), *((f"{number:02}", "1") for number in range(4, 35, 4))]
    assert list(tmp_path.iterdir()) == [text]


def flags_of(kind, prefix=""):
    for one in dataclasses.fields(kind):
        inner = one.default_factory
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from flags_of(inner, f"{prefix}{one.name.replace('_', '-')}.")
        else:
            yield f"--{prefix}{one.name.replace('_', '-')}"


def test_every_flag_that_a_message_names_is_there():
    """Messages once told to raise --longest, which is called --reading.longest."""
    room = Path(blocks.__file__).parent
    flag_like = re.compile(r"(?<![-\w])--[a-z][a-z.-]*[a-z](?![-\w])")
    named = {(flag, file.name) for file in room.rglob("*.py")
             for flag in flag_like.findall(file.read_text(encoding="utf-8"))}  # fmt: skip
    known = {*flags_of(Settings), "--head"}  # the last is Ray's own
    assert "--skip-unreadable" in {flag for flag, _ in named} and "--reading.longest" in flags_of(Settings)
    assert sorted(one for one in named if one[0] not in known) == []
    readers = {flag for flag, file in named if flag.startswith("--reading.")} | {"--skip-unreadable", "--max-errors"}
    assert readers | {"--encoding"} <= set(flags_of(tokenizer.Settings))
