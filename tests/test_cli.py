import errno
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from upwell import __version__, cli, plugs, terminal
from upwell.errors import DataError


def upwell(*argv: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "upwell", *argv], capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def verb_that(monkeypatch):
    """Give the verb doctor another body."""

    def install(main):
        settings = plugs.find("verbs", "doctor").Settings
        fake = types.SimpleNamespace(Settings=settings, main=main, __doc__="A fake.")
        monkeypatch.setattr(plugs, "find", lambda room, name: fake)

    return install


def raising(error: BaseException):
    def main(settings):
        raise error

    return main


def test_help_lists_the_verbs_in_the_order_of_the_life_cycle(capsys):
    assert cli.main(["--help"]) == cli.main([]) == cli.main(["help"]) == 0
    listed = re.findall(r"^  ([a-z]+)  +(\S.*)$", capsys.readouterr().out, re.MULTILINE)
    order = [verb for group in cli.LIFE_CYCLE.values() for verb in group]
    assert [verb for verb, _ in listed[: len(cli.verbs())]] == [verb for verb in order if verb in cli.verbs()]
    assert {verb: line for verb, line in listed} == cli.verbs()


def test_help_answers_at_once():
    """It loads none of what takes long: 0.1 s with all of them left out, seconds with any."""
    heavy = {"torch", "numpy", "transformers", "tokenizers", "safetensors", "matplotlib", "uvicorn", "starlette"}
    code = "import sys; from upwell import cli; cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "doctor" in done.stdout and not heavy & {*done.stderr.split()}


def test_version():
    done = upwell("--version")
    assert (done.returncode, done.stdout) == (0, f"upwell {__version__}\n")


def test_an_unknown_verb_gets_the_nearest_named(capsys):
    assert cli.main(["docter"]) == 2
    assert capsys.readouterr().err == (
        "There is no verb 'docter', did you mean `upwell doctor`? `upwell --help` lists them all.\n"
    )


@pytest.mark.parametrize("verb", [verb for verb in cli.LATER if verb not in cli.verbs()])
def test_a_verb_of_the_later_life_cycle_says_that_it_is_not_there_yet(verb, capsys):
    assert cli.main([verb]) == cli.main([verb, "--help"]) == 2
    assert f"`upwell {verb}` is not there yet" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["../cli", "__init__", "os", "", "./doctor.py"])
def test_a_verb_is_never_a_path(verb, capsys):
    assert cli.main([verb]) == 2
    assert "There is no verb" in capsys.readouterr().err


def test_a_mistaken_flag_ends_in_one_sentence_and_2():
    done = upwell("doctor", "--fodler", "x")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "unrecognized options: --fodler" in done.stderr


def test_an_own_error_is_one_sentence_without_a_traceback(verb_that, capsys, monkeypatch):
    monkeypatch.delenv("UPWELL_DEBUG", raising=False)
    verb_that(raising(DataError("a.txt:3: found nothing, expected text; write some.")))
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "a.txt:3: found nothing, expected text; write some.\n"


def test_debugging_shows_the_traceback(verb_that, monkeypatch):
    monkeypatch.setenv("UPWELL_DEBUG", "1")
    verb_that(raising(DataError("x")))
    with pytest.raises(DataError):
        cli.main(["doctor"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "runs/a: no space is left on the disk; free some"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: permission denied; choose a folder"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "y.txt"), "y.txt: No such file or directory."),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk: no space is left on the disk"),
        (OSError("strange"), "strange"),
        (MemoryError(), "The memory is not enough; try a smaller batch or model."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "The memory is not enough"),
        (RuntimeError("Io(No space left on device (os error 28))"), "No space is left on the disk (Io("),
    ],
)
def test_what_the_system_refuses_is_one_sentence_with_the_path(verb_that, capsys, error, said):
    verb_that(raising(error))
    assert cli.main(["doctor"]) == 2
    found = capsys.readouterr().err
    assert found.startswith(said) and found.count("\n") == 1


def test_ctrl_c_ends_in_one_sentence_and_130(verb_that, capsys):
    verb_that(raising(KeyboardInterrupt()))
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_a_fault_of_our_own_keeps_its_traceback(verb_that):
    verb_that(raising(AssertionError("ours")))
    with pytest.raises(AssertionError):
        cli.main(["doctor"])


def test_the_code_of_a_verb_is_the_exit_code(verb_that):
    verb_that(lambda settings: 3)
    assert cli.main(["doctor"]) == 3
    verb_that(lambda settings: None)
    assert cli.main(["doctor"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_leaves_causes_no_complaint():
    code = "import sys; from upwell.cli import main; sys.exit(main(['--help']))"
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE)
    os.close(reader)
    os.close(writer)
    assert process.communicate()[1] == b"" and process.returncode == 1


def test_an_encoding_that_lacks_our_characters_breaks_nothing():
    code = "from upwell import terminal as t; t.tolerate_any_character(); t.say('\u4f60'); t.sample('\u4f60');"
    code += "t.table('\u8868', ['\u4f60'], [['\u597d']])"
    for encoding in ("cp1252", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}
        )
        assert done.returncode == 0 and b"?" in done.stdout and b"?" in done.stderr


def test_a_verb_that_has_no_place_in_the_order_is_listed_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "verbs").mkdir()
    for name in ("zebra", "doctor", "fetch", "__init__"):
        (tmp_path / "verbs" / f"{name}.py").write_text(f'"""About {name}.\n\nMore."""', encoding="utf-8")
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "cli.py"))
    assert cli.verbs() == {"fetch": "About fetch", "doctor": "About doctor", "zebra": "About zebra"}
    assert "More\n  zebra" in cli.overview()


def test_every_verb_of_the_order_has_a_file():
    wanted = {verb for group in cli.LIFE_CYCLE.values() for verb in group}
    assert wanted <= {file.stem for file in (Path(cli.__file__).parent / "verbs").glob("*.py")}


def test_the_model_cannot_drive_the_terminal():
    dangerous = "a\x1b[2J\x07b\r\u202ec\x9b\ud800\n\td"
    assert terminal.harmless(dangerous) == "a\ufffd[2J\ufffdb\ufffd\ufffdc\ufffd\ufffd\n\td"


def test_progress_without_a_terminal_is_plain_lines_not_too_many(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    with terminal.Progress("pretrain", total=100, start=10, every=10) as progress:
        for step in range(11, 101):
            now[0] += 1
            progress.update(step, {"loss": f"{step / 10:.1f}", "tokens/s": "4,100"})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert lines[0] == "pretrain 20/100 · loss 2.0 · tokens/s 4,100 · 1:20 left"
    assert lines[-1].startswith("pretrain 100/100 · loss 10.0")


def test_progress_on_a_terminal_is_one_bar_and_prints_pass_above_it(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal.Progress("[bold]learn", total=4) as progress:
        for step in range(1, 5):
            progress.update(step, {"loss": "[red]2.3"})
            terminal.say(f"step {step}")
    said = capsys.readouterr().err
    assert "[bold]learn" in said and "[red]2.3" in said and "100%" in said and "step 3" in said


def test_durations():
    assert [terminal.duration(s) for s in (0, 5.4, 65, 3599.6, 3700)] == ["0:00", "0:05", "1:05", "1:00:00", "1:01:40"]


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, capsys):
    terminal.fail("plain")
    assert capsys.readouterr().err == "plain\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal.fail("red [bold]")
    assert capsys.readouterr().err == "\x1b[31mred [bold]\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.fail("none")
    assert "none" in (said := capsys.readouterr().err) and "\x1b[31m" not in said


def test_a_table_shows_every_cell_and_numbers_at_the_right(capsys):
    terminal.table("Result", ("stage", "loss"), [("prepare [x]", 1.23456), ("learn\x1b", 10.0)])
    said = capsys.readouterr().out
    assert "prepare [x]" in said and "1.235" in said and "\x1b" not in said
    assert re.search(r" +10 │", said)
