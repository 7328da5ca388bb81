"""Recipes: every file is complete and its commands are ones that their verbs take; runs go on where they stopped."""

import json
from pathlib import Path

import pytest

from upwell import cli, recipes
from upwell.errors import Absent, DataError, ServiceError, SettingsError
from upwell.verbs import evaluate, fetch, prepare

TRAINING = ("pretrain", "finetune")
HEAD = "makes: a thing\ndata: some\nlicence: none\nbudget: a second\n"


def written(folder: Path, *stages: str, head: str = HEAD) -> str:
    """A recipe's file with these stages, as YAML lines."""
    path = folder / "mine.yaml"
    path.write_text(head + "stages:\n" + "".join(f"  - {stage}\n" for stage in stages), encoding="utf-8")
    return str(path)


@pytest.fixture
def called(monkeypatch):
    """The verbs fetch, prepare and evaluate do nothing but to note their settings and to make their --out."""
    calls: list = []

    def note(settings) -> None:
        calls.append(settings)
        print(f"did {type(settings).__module__.rpartition('.')[2]}")
        if hasattr(settings, "out"):
            settings.out.mkdir(parents=True)

    for module in (fetch, prepare, evaluate):
        monkeypatch.setattr(module, "main", note)
    return calls


# ---- the recipes of the package ----


@pytest.mark.parametrize("name", recipes.names())
def test_every_command_of_a_recipe_is_one_that_its_verb_takes_and_says_how_long_and_where_to(name, tmp_path):
    stages = recipes.commands(recipes.read(name), tmp_path / name)  # each line is read by its verb
    for words in (words for stage in stages for words in stage if words):
        if words[0] in TRAINING:
            assert any(flag in words for flag in recipes.SCALED) and "--minutes" not in words, words
        if words[0] in (*TRAINING, "prepare", "tokenizer"):
            assert words[words.index("--out") + 1].startswith(str(tmp_path / name)), words
    outs = [stage.words[stage.words.index("--out") + 1] for stage in stages if "--out" in stage.words]
    assert stages and len(set(outs)) == len(outs), "each --out is a folder of its own"


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_teaches_by_comments_and_tells_what_it_is(name):
    lines = (recipes.ROOM / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    recipe = recipes.read(name)
    assert lines[0].startswith("# ") and sum(line.strip().startswith("#") for line in lines) >= len(recipe.stages) / 3
    assert len(recipe.makes) <= 120 and len(recipe.budget) <= 140 and recipe.licence and recipe.data


@pytest.mark.parametrize("page", ["recipes.md", "recipes.zh-CN.md"])
def test_the_file_that_the_manual_shows_is_a_recipe(page, tmp_path):
    shown = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8").partition("```yaml\n")[2]
    (tmp_path / "mine.yaml").write_text(shown.partition("```")[0], encoding="utf-8")
    recipe = recipes.read(str(tmp_path / "mine.yaml"))
    assert len(recipes.commands(recipe, tmp_path / "run")) == len(recipe.stages) == 3


def test_without_a_name_all_recipes_are_listed(capsys):
    assert cli.main(["recipe"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in recipes.names()) and "poems" in recipes.names()


# ---- running ----


def test_stages_run_in_order_once_and_what_they_print_is_kept(tmp_path, called, capsys):
    path, out = written(tmp_path, "upwell prepare {out}/texts --out {out}/prepared", "upwell evaluate {out}/model",
                        "upwell fetch wiki-intros"), tmp_path / "run"  # fmt: skip
    assert cli.main(["recipe", path, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert [type(one).__module__.rpartition(".")[2] for one in called] == ["prepare", "evaluate", "fetch"]
    assert called[0].paths == (out / "texts",) and called[1].folder == out / "model"
    assert f"Stage 2 of 3  upwell evaluate {out}/model" in shown.err and "did evaluate" in shown.out
    kept = (out / "results.txt").read_text(encoding="utf-8")
    assert kept.startswith(f"$ upwell prepare {out}/texts") and kept.count("did ") == 3
    assert cli.main(["recipe", path, "--out", str(out)]) == 0 and len(called) == 3
    assert capsys.readouterr().out.count("done before") == 3


def test_a_run_that_was_stopped_goes_on_with_the_stage_where_it_stopped(tmp_path, called, capsys, monkeypatch):
    out = tmp_path / "run"
    path = written(tmp_path, "upwell prepare a --out {out}/p", "upwell evaluate m", "upwell fetch b")
    again = evaluate.main

    def stop(settings) -> None:
        raise KeyboardInterrupt("Stopped after step 3.")

    monkeypatch.setattr(evaluate, "main", stop)
    assert cli.main(["recipe", path, "--out", str(out)]) == 130
    shown = capsys.readouterr().err
    assert shown.strip().splitlines()[-1] == "Stopped at stage 2 of 3; the same command goes on from here."
    assert "Stopped after" not in shown and len(called) == 1
    monkeypatch.setattr(evaluate, "main", again)
    assert cli.main(["recipe", path, "--out", str(out)]) == 0
    assert [type(one).__module__.rpartition(".")[2] for one in called] == ["prepare", "evaluate", "fetch"]


def test_a_stage_that_fails_says_which_and_is_tried_again(tmp_path, called, capsys, monkeypatch):
    path, out = written(tmp_path, "upwell fetch a", "upwell evaluate m"), tmp_path / "run"

    def fail(settings) -> None:
        raise DataError("m holds nothing.")

    monkeypatch.setattr(evaluate, "main", fail)
    for _ in range(2):
        assert cli.main(["recipe", path, "--out", str(out)]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1] == "Stage 2 of 2: m holds nothing."
    assert len(called) == 1
    monkeypatch.setattr(evaluate, "main", lambda settings: 3)
    assert cli.main(["recipe", path, "--out", str(out)]) == 2 and "ended with the code 3" in capsys.readouterr().err


def test_a_stage_runs_again_where_it_or_one_before_it_changed_or_its_folder_went(tmp_path, called):
    out = tmp_path / "run"
    stages = ["upwell fetch a", "upwell prepare a --out {out}/p", "upwell evaluate m"]
    assert cli.main(["recipe", written(tmp_path, *stages), "--out", str(out)]) == 0 and len(called) == 3
    (out / "p").rmdir()
    assert cli.main(["recipe", written(tmp_path, *stages), "--out", str(out)]) == 0 and len(called) == 4
    (out / "p").rmdir()
    stages[0] = "upwell fetch b"
    assert cli.main(["recipe", written(tmp_path, *stages), "--out", str(out)]) == 0 and len(called) == 7


def test_the_other_way_is_taken_where_something_cannot_be_had_here_and_only_then(tmp_path, called, capsys, monkeypatch):
    path, out = written(tmp_path, "{try: upwell evaluate m, else: upwell fetch b}"), tmp_path / "run"

    def absent(settings) -> None:
        raise Absent("there is no npm client here.")

    monkeypatch.setattr(evaluate, "main", absent)
    assert cli.main(["recipe", path, "--out", str(out)]) == 0
    assert "no npm client here. Taking the other way." in capsys.readouterr().err and called[0].name == "b"
    assert cli.main(["recipe", path, "--out", str(out)]) == 0 and len(called) == 1

    for error in (DataError("m holds nothing."), ServiceError("Another run is at work.")):

        def wrong(settings, error=error) -> None:
            raise error

        monkeypatch.setattr(evaluate, "main", wrong)
        assert cli.main(["recipe", path, "--out", str(tmp_path / "other")]) == 2 and len(called) == 1


def test_a_recipe_that_builds_on_another_wants_that_finished_beside_it(tmp_path, called, capsys):
    path, out = written(tmp_path, "upwell evaluate {poems}/model --context 9"), tmp_path / "runs" / "mine"
    assert cli.main(["recipe", path, "--out", str(out)]) == 2
    assert "builds on the recipe poems, which is not finished" in capsys.readouterr().err and not called
    (tmp_path / "runs" / "poems").mkdir(parents=True)
    (tmp_path / "runs" / "poems" / "recipe.json").write_text(json.dumps({"finished": True}), encoding="utf-8")
    assert cli.main(["recipe", path, "--out", str(out)]) == 0
    assert called[0].folder == tmp_path / "runs" / "poems" / "model"


def test_show_prints_the_commands_and_runs_nothing_and_scale_shortens_them(tmp_path, called, capsys):
    path = written(tmp_path, "upwell pretrain {out}/p --out {out}/m --training.steps 300 --learn.middle 0.5",
                   'upwell generate {out}/m --prompt "a {b} c"', "upwell finetune {out}/m d --epochs 2 --out {out}/f "
                   "--objective causal", "{try: upwell fetch a, else: upwell fetch b}")  # fmt: skip
    assert cli.main(["recipe", path, "--show", "--out", "o", "--scale", "0.01"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "upwell pretrain o/p --out o/m --training.steps 3 --learn.middle 0.5", "upwell generate o/m --prompt 'a {b} c'",
        "upwell finetune o/m d --epochs 0.02 --out o/f --objective causal", "upwell fetch a   # or: upwell fetch b",
    ]  # fmt: skip
    assert not called and not Path("o").exists()


# ---- what is refused ----


def test_an_unknown_recipe_is_one_sentence_with_the_nearest(capsys):
    assert cli.main(["recipe", "poem"]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("There is no recipe 'poem', did you mean poems?") and len(told.splitlines()) == 1


@pytest.mark.parametrize(("stage", "told"), [
    ("upwell prepare a --vocabsize 3", "did you mean --vocab-size"),
    ("upwell prepare a --heldout 2", "heldout is 2.0; expected a share"),
    ("upwell prepair a", "there is no verb 'prepair' for a stage, did you mean prepare"),
    ("upwell recipe poems", "there is no verb 'recipe' for a stage"),
    ("rm -rf a", "expected a command as `upwell prepare ...`, found 'rm -rf a'"),
    ("'upwell fetch \"a'", "No closing quotation"),
    ("{try: upwell fetch a}", "expected a command or the keys try and else, found try"),
])  # fmt: skip
def test_a_wrong_line_is_told_before_anything_runs(tmp_path, called, capsys, stage, told):
    path = written(tmp_path, "upwell fetch a", stage)
    assert cli.main(["recipe", path, "--out", str(tmp_path / "run")]) == 2
    assert "stage 2: " in (said := capsys.readouterr().err) and told in said
    assert not called and not (tmp_path / "run").exists()


def test_a_file_that_lacks_something_or_has_a_key_too_many_is_told(tmp_path):
    with pytest.raises(SettingsError, match="mine.yaml: expected the keys .*, makes is not there"):
        recipes.read(written(tmp_path, "upwell fetch a", head="data: b\n"))
    with pytest.raises(SettingsError, match="mine.yaml:5: maker: unexpected key, did you mean makes"):
        recipes.read(written(tmp_path, "upwell fetch a", head=HEAD + "maker: x\n"))
    (tmp_path / "empty.yaml").write_text(HEAD + "stages: []\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="found no stages"):
        recipes.read(str(tmp_path / "empty.yaml"))
