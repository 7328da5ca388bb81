import dataclasses
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Literal

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as some
from tyro.conf import Positional

from upwell import settings
from upwell.errors import SettingsError


@dataclasses.dataclass(frozen=True)
class Optim:
    """How to step."""

    rate: float = 0.1
    """learning rate"""
    betas: tuple[float, float] = (0.9, 0.95)
    """decay of the two averages"""

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}, expected a number above 0")


@dataclasses.dataclass(frozen=True)
class Model:
    width: int = 256
    """width D"""
    heads: int = 4
    """heads H"""


@dataclasses.dataclass(frozen=True)
class Settings:
    corpus: Positional[Path]
    """the folder of texts"""
    others: Positional[tuple[str, ...]] = ()
    """more folders"""
    model: Model = Model(width=128)
    """the model's shape"""
    optim: Optim = dataclasses.field(default_factory=Optim)
    """the optimizer"""
    preset: Literal["fast", "wide"] = "fast"
    """a complete shape"""
    shuffle: bool = True
    """shuffle the documents"""
    out: Path | None = None
    """where the run is written"""
    max_steps: int = 100
    """steps"""

    def __post_init__(self):
        if self.max_steps < 1:
            raise SettingsError(f"max_steps is {self.max_steps}, expected at least 1.")


def parse(*argv: str) -> Settings:
    return settings.parse(Settings, list(argv), "learn", "Learn it.\n\nExamples:\n    upwell learn texts")


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def complaint(*argv: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(*argv)
    return str(caught.value)


def test_flags_win_over_the_file_and_the_file_over_defaults(file):
    path = file("max_steps: 5\npreset: wide\noptim: {rate: 1e-3}\n")
    found = parse("texts", "--config", path, "--max-steps", "7", "--optim.betas", "0.5", "0.6")
    assert found == Settings(
        corpus=Path("texts"), optim=Optim(rate=1e-3, betas=(0.5, 0.6)), preset="wide", max_steps=7
    )


def test_a_part_of_a_nested_default_keeps_the_rest_of_it(file):
    assert parse("texts", "--config", file("model: {heads: 2}")).model == Model(width=128, heads=2)
    assert parse("texts", "--model.heads", "2").model == Model(width=128, heads=2)


@dataclasses.dataclass(frozen=True)
class Lists:
    names: tuple[str, ...] = ()
    """names"""
    renamed: typing.Annotated[tuple[int, ...], tyro.conf.arg(name="counts")] = ()
    """numbers"""
    pair: tuple[float, float] = (0.0, 0.0)
    """two numbers"""
    word: str = ""
    """one word"""


@pytest.mark.parametrize("words, names, counts", [
    (["--names", "a", "--word", "w", "--names", "b", "c"], ("a", "b", "c"), ()),
    (["--names=a", "--names=b", "--counts", "1", "--counts", "2"], ("a", "b"), (1, 2)),
    (["--names", "a", "b"], ("a", "b"), ()),
])  # fmt: skip
def test_a_list_that_is_named_several_times_loses_nothing(words, names, counts):
    found = settings.parse(Lists, words, "learn")
    assert (found.names, found.renamed) == (names, counts)


def test_positionals_underscores_and_switches():
    found = parse("a", "b", "c", "--max_steps", "3", "--no-shuffle", "--out=runs/x")
    assert (found.corpus, found.others, found.max_steps) == (Path("a"), ("b", "c"), 3)
    assert (found.shuffle, found.out) == (False, Path("runs/x"))


def test_a_file_can_give_what_has_no_default(file):
    assert parse("--config", file("corpus: texts")).corpus == Path("texts")


def test_every_mistake_of_a_file_is_listed_with_its_line(file):
    path = file(
        "corpus: texts\nmodel:\n  wdith: 3\n  heads: four\npreset: slow\npreset: fast\nmax_steps: [1]\n"
        "optim: 3\nzzz: 1\nout: null\n"
    )
    lines = complaint("--config", path).splitlines()
    starts = [
        ":3: model.wdith: unexpected key, did you mean width?",
        ":4: model.heads: input should be a valid integer",
        ":5: preset: input should be 'fast' or 'wide', found 'slow'",
        ":6: preset: given twice, first in line 5",
        ":7: max_steps: input should be a valid integer, found [1]",
        ":8: optim: expected indented `key: value` lines",
        ":9: zzz: unexpected key; known are corpus, others, model,",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(path + start)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "run.yaml:1: not valid YAML"),
        ("- a\n- b\n", "run.yaml:1: expected lines of the form"),
        ("corpus: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("[" * 5000, "nested too deeply"),
        ("lang\x07: 3", "not valid YAML"),
    ],
    ids=["open-bracket", "list", "python-object", "deep", "control-character"],
)
def test_a_file_that_is_no_settings_file_is_one_sentence(file, text, words):
    assert words in complaint("--config", file(text))


def test_a_missing_a_binary_and_an_empty_file(tmp_path, file):
    assert "cannot be read: No such file" in complaint("--config", str(tmp_path / "none.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "no UTF-8 text" in complaint("--config", str(tmp_path / "binary.yaml"))
    assert parse("texts", "--config", file("")) == Settings(corpus=Path("texts"))
    assert complaint("texts", "--config") == "--config needs the name of a YAML file after it."


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("texts --prset wide", "did you mean --preset?"),
        ("texts --model.wdith 3", "did you mean --model.width?"),
        ("texts --preset slow", "invalid choice 'slow' for argument '--preset'. Expected one of ('fast', 'wide')."),
        ("texts --max-steps many", "--max-steps: invalid literal for int() with base 10: 'many'."),
        ("texts --max-steps", "missing value for argument '--max-steps'"),
        ("texts --optim.rate -1", "optim: rate is -1.0, expected a number above 0."),
        ("texts --max-steps 0", "max_steps is 0, expected at least 1."),
        ("", "missing from upwell learn: CORPUS"),
    ],
)
def test_a_mistaken_flag_is_one_sentence(argv, words, capfd):
    said = complaint(*argv.split())
    assert words in said and "\n" not in said and "│" not in said
    assert capfd.readouterr() == ("", "")


def test_a_range_is_checked_for_values_of_a_file_too(file):
    assert "rate is -1.0, expected a number above 0" in complaint("texts", "--config", file("optim: {rate: -1}"))


def test_help_opens_with_the_description_and_closes_with_the_examples(capsys):
    with pytest.raises(SystemExit) as end:
        parse("--help")
    said = capsys.readouterr().out
    assert end.value.code == 0
    assert said.index("Learn it.") < said.index("learning rate") < said.index("--config") < said.index("Examples:")
    assert said.rstrip().endswith("upwell learn texts") and said.count("Examples:") == 1


names = some.text(some.characters(exclude_categories=("Cs", "Cc")), min_size=1)


@given(
    corpus=names.filter(lambda name: "\0" not in name),
    others=some.lists(names).map(tuple),
    rate=some.floats(min_value=1e-30, max_value=1e30),
    steps=some.integers(min_value=1),
    shuffle=some.booleans(),
    out=some.none() | names.map(Path),
)
def test_a_dump_read_again_gives_equal_settings(tmp_path_factory, corpus, others, rate, steps, shuffle, out):
    before = Settings(Path(corpus), others, optim=Optim(rate=rate), max_steps=steps, shuffle=shuffle, out=out)
    path = tmp_path_factory.mktemp("dump") / "run.yaml"
    path.write_text(settings.dump(before), encoding="utf-8", newline="")
    assert parse("--config", str(path)) == before


def test_importing_settings_imports_nothing_heavy():
    code = "import sys, upwell.settings; print([m for m in ('pydantic', 'tyro', 'yaml', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_complaint_drawn_in_plain_characters_is_still_a_sentence():
    from upwell.settings import _sentence

    box = "+ Parsing error +\n+--------------+\n| Unrecognized options: --foo |\n+---------------+"
    assert _sentence(box, "prepare").startswith("upwell prepare: unrecognized options: --foo")


def test_one_setting_is_known_before_the_others_from_words_or_a_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("objective: masked\nlearn:\n  rate: 0.2\n")
    assert settings.given("objective", ["data", "--objective", "label"]) == "label"
    assert settings.given("objective", ["--objective=tag", "--config", str(file)]) == "tag"
    assert settings.given("objective", ["data", "--config", str(file)]) == "masked"
    assert settings.given("objective", ["data"]) is None and settings.given("learn", ["--config", str(file)]) is None


def test_a_part_depends_on_another_setting_and_a_key_may_be_a_word_of_python(tmp_path):
    from upwell.verbs import pretrain

    file = tmp_path / "run.yaml"
    file.write_text("objective: masked\nfrom: other\nlearn:\n  rate: 0.2\n")
    words = ["data", "--config", str(file)]
    found = settings.parse(pretrain.kind(words), words, "pretrain")
    assert (found.learn.rate, str(found.from_)) == (0.2, "other")
    again = tmp_path / "again.yaml"
    again.write_text(settings.dump(found))
    words = ["--config", str(again)]
    assert settings.dump(settings.parse(pretrain.kind(words), words, "pretrain")) == settings.dump(found)


def test_the_environment_stands_between_the_file_and_the_flags(tmp_path, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Some:
        port: int = 1
        """a number"""
        names: tuple[str, ...] = ()
        """several"""
        open: bool = False
        """yes or no"""
        key: str | None = None
        """a text"""
        model: Model = Model()
        """a part"""

    path = tmp_path / "s.yaml"
    path.write_text("port: 2\nkey: file\n", encoding="utf-8")
    for name, value in {"PORT": "3", "NAMES": "[a, b]", "OPEN": "true"}.items():
        monkeypatch.setenv(f"UPWELL_SERVE_{name}", value)
    found = settings.parse(Some, ["--config", str(path)], "serve")
    assert (found.port, found.names, found.open, found.key) == (3, ("a", "b"), True, "file")
    assert settings.parse(Some, ["--port", "4"], "serve").port == 4
    assert settings.parse(Some, [], "generate").port == 1
    monkeypatch.setenv("UPWELL_SERVE_KEY", "12")
    monkeypatch.setenv("UPWELL_SERVE_NAMES", "one")
    assert settings.parse(Some, [], "serve") == Some(3, ("one",), True, "12")


def test_a_variable_that_cannot_be_is_told_by_its_name(monkeypatch):
    monkeypatch.setenv("UPWELL_TRAIN_MAX_STEPS", "many")
    monkeypatch.setenv("UPWELL_TRAIN_MAX_STEP", "1")
    with pytest.raises(SettingsError) as caught:
        settings.environment(Settings, "train", os.environ)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0] == "UPWELL_TRAIN_MAX_STEP: there is no such setting, did you mean MAX_STEPS?"
    assert lines[1].startswith("UPWELL_TRAIN_MAX_STEPS:") and "many" in lines[1]
