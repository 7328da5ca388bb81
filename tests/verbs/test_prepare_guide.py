"""The first-steps guide for data: its commands and settings are those of the verb, in both languages."""

import re
from pathlib import Path

import pytest

from tests.shape.test_help import check_command, commands
from upwell.settings import parse
from upwell.verbs import prepare

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("prepare.md", "prepare.zh-CN.md")


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GUIDES)
def test_the_commands_of_the_guide_parse(name):
    assert len(commands(read(name))) == 7
    for line in commands(read(name)):
        check_command(line)


@pytest.mark.parametrize("name", GUIDES)
def test_every_setting_that_the_guide_names_exists_and_takes_that_value(name):
    named = [words for words in re.findall(r"`(--[^`]+)`", read(name)) if not words.startswith("--config")]
    assert len(named) > 20
    for words in named:
        flags = [] if " " in words or words in SWITCHES else ["1"]
        parse(prepare.Settings, ["texts", *words.split(), *flags], "prepare")


SWITCHES = ("--skip-unreadable", "--dry-run", "--secrets.everywhere")


def test_both_guides_name_the_same_settings_and_every_step():
    english, chinese = (re.findall(r"`(--[^`]+)`", read(name)) for name in GUIDES)
    assert english == chinese
    for step in prepare.Settings.__dataclass_fields__["skip"].type.__args__[0].__args__:
        assert all(f"| `{step}` |" in read(name) for name in GUIDES)
