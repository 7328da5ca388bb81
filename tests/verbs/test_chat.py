"""`upwell chat`: driven by a pipe, and at a terminal that the test plays."""

import json
import os
import re
import select
import subprocess
import sys
import time

import pytest

from tests.generation.fake_server import DONE, delta, running
from tests.verbs.talking import Typed, plain_folder, talking_folder
from upwell import cli
from upwell.errors import DataError, SettingsError
from upwell.generation.backend import Local
from upwell.generation.settings import Settings
from upwell.model import hub
from upwell.verbs._conversation import Conversation
from upwell.verbs._typing import Turn, next_turn
from upwell.verbs.chat import value_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return talking_folder(tmp_path_factory.mktemp("runs") / "talking")


@pytest.fixture
def say(capsys, monkeypatch):
    """say(folder and flags, lines) -> code, standard output, standard error."""

    def say(words, *lines, data=None):
        given = "".join(f"{line}\n" for line in lines).encode() if data is None else data
        monkeypatch.setattr(sys, "stdin", Typed(given))
        code = cli.main(["chat", *map(str, words)])
        return code, *capsys.readouterr()

    return say


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


# ---- a pipe ----


def test_each_line_is_a_turn_and_the_model_reads_all_that_was_said_before(say, folder, tmp_path):
    talk = tmp_path / "talk.json"
    code, out, err = say((folder, "--max-new", 6, "--seed", 3, "--system", "Be kind."), "The river", "", "The sea",
                         f"/save {talk}")  # fmt: skip
    assert code == 0 and ">" not in out and "tokens/s" not in err
    backend, messages = Local(hub.load(folder)), [{"role": "system", "content": "Be kind."}]
    for text in ("The river", "The sea"):
        messages.append(user(text))
        pieces = list(backend.generate(messages, Settings(max_new=6, seed=3)))
        messages.append(assistant("".join(piece.text for piece in pieces)))
    backend.close()
    assert json.loads(talk.read_text(encoding="utf-8")) == {"messages": messages}
    assert out == "".join(one["content"].removesuffix("\n") + "\n" for one in messages if one["role"] == "assistant")


def test_a_saved_conversation_goes_on_and_its_turns_can_be_taken_back_and_asked_again(say, folder, tmp_path):
    talk = tmp_path / "talk.json"
    words = (folder, "--max-new", 6, "--seed", 3)
    say(words, "The river", "The sea", f"/save {talk}")
    both = json.loads(talk.read_text(encoding="utf-8"))["messages"]
    _, out, err = say((*words, "--load", talk), "/undo", "/save", "The sea", "/save")
    assert json.loads(talk.read_text(encoding="utf-8"))["messages"] == both and "Taken back: The sea" in err
    _, out, _ = say((*words, "--load", talk), "/retry", "/save")
    again = json.loads(talk.read_text(encoding="utf-8"))["messages"]
    assert again[:3] == both[:3] and again[3]["content"] != both[3]["content"] and len(again) == 4
    say((*words, "--load", talk), "/clear", "The river", "/save")
    assert json.loads(talk.read_text(encoding="utf-8"))["messages"] == both[:2]


def test_a_saved_conversation_is_a_chat_that_the_other_verbs_read(say, folder, tmp_path, capsys):
    talk = tmp_path / "talk.json"
    say((folder, "--max-new", 6, "--seed", 3), "The river", f"/save {talk}")
    one_line = json.dumps(json.loads(talk.read_text(encoding="utf-8")))
    (tmp_path / "prompts.jsonl").write_text(one_line + "\n", encoding="utf-8")
    assert cli.main(["generate", str(folder), "--prompts", str(tmp_path / "prompts.jsonl"), "--max-new", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["messages"][0] == user("The river")


def test_settings_change_by_command_as_they_do_by_flags(say, folder):
    code, out, _ = say((folder, "--max-new", 6, "--seed", 3), "/set strategy greedy", "/set max-new 4", "The river")
    assert code == 0 and (0, out) == say((folder, "--max-new", 4, "--strategy", "greedy"), "The river")[:2]
    code, _, err = say((folder, "--max-new", 6), "/set temperature 0.5", "/set stop END", "/settings",
                       "/set temperature")  # fmt: skip
    assert code == 0 and re.search(r"temperature +0.5 +\(at first 0.8\)", err) and "temperature = 0.8\n" in err
    assert re.search(r'stop +\["END"\]', err) and re.search(r"max_new +6\n", err)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "1e-3", 0.001), ("max_new", "7", 7), ("stop", "END", ("END",)), ("seed", "null", None),
        ("stop", '["a", "b"]', ("a", "b")), ("stop", "5", ("5",)), ("stop", r'"\n\n"', ("\n\n",)),
        ("regex", "[a-z]+", "[a-z]+"), ("regex", "none", None), ("regex", "[1]", "[1]"), ("stop_ids", "5", (5,)),
        ("logit_bias", "[[5, 1]]", ((5, 1.0),)),
        ("json_schema", '{"type": "object"}', '{"type": "object"}'), ("begin", "none", "none"),
    ],
)  # fmt: skip
def test_a_typed_value_is_what_the_setting_takes(name, text, value):
    assert value_of(name, text) == value


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/lod x", "/lod: there is no such command, did you mean /load?"),
        ("/etc/passwd is what?", 'begins with a slash goes between """'),
        ("/", "there is no such command"),
        ("/set", "/set: found nothing, expected the name of a setting"),
        ("/set temprature 1", "did you mean temperature?"),
        ("/set temperature hot", "temperature: input should be a valid number, found 'hot'"),
        ("/set top_p 7", "top_p: found 7.0, expected a number above 0 and at most 1"),
        ("/set strategy gredy\nHello", "'gredy'.*did you mean greedy"),
        ("/save", "/save: expected the name of a file"),
        ("/load", "/load: expected the name of a file"),
        ("/load no-such-file.json", "no-such-file.json: No such file"),
        ("/undo", "/undo: nothing has been said yet"),
        ("/retry", "/retry: nothing has been said yet"),
        ('"""never closed', "inside of a block"),
    ],
)
def test_in_a_pipe_the_first_mistake_ends_it_with_one_sentence(say, folder, line, sentence):
    code, out, err = say((folder, "--max-new", 3), line, "Never asked")
    assert code == 2 and out == "" and re.search(sentence, err), err
    assert len(err.splitlines()) == line.count("\n") + 1 and "Traceback" not in err


def test_bytes_that_are_no_utf8_are_named_by_their_line(say, folder):
    code, _, err = say((folder,), data=b"\xff\n")
    assert code == 2 and "standard input:1: byte 0 is no UTF-8" in err


def test_a_conversation_that_no_longer_fits_names_both_numbers_and_how_to_go_on(say, folder):
    code, out, err = say((folder, "--max-new", 60, "--min-new", 60, "--seed", 1), "The river", "The sea", "wide")
    assert code == 2 and re.search(r"has \d\d\d tokens .* reads at most 128", err)
    assert "/undo" in err and "/clear" in err
    taken = int(re.search(r"has (\d+) tokens", err)[1])
    assert taken >= 128
    words = (folder, "--max-new", 60, "--min-new", 60, "--seed", 1)
    assert say(words, "The river", "/clear", "The sea", "/undo", "The sea")[0] == 0


def test_an_answer_may_be_as_long_as_the_context_leaves_room(say, folder, tmp_path):
    talk = tmp_path / "talk.json"
    code, _, _ = say((folder, "--min-new", 1000, "--seed", 1), "The river", f"/save {talk}")
    checkpoint = hub.load(folder)
    said = json.loads(talk.read_text(encoding="utf-8"))["messages"]
    read = len(checkpoint.template.ids(said[:1], checkpoint.tokenizer))
    backend = Local(checkpoint)
    pieces = list(backend.generate(said[:1], Settings(max_new=128 - read, min_new=128 - read, seed=1)))
    backend.close()
    assert code == 0 and "".join(piece.text for piece in pieces) == said[1]["content"]


def test_a_model_without_a_chat_template_is_told_in_one_sentence_with_what_to_use(say, tmp_path):
    folder = plain_folder(tmp_path / "first")
    code, out, err = say((folder,), "The river")
    assert code == 2 and out == "" and len(err.splitlines()) == 1
    assert "has no chat template" in err and f"upwell generate {folder}" in err and "--plain" in err
    code, out, err = say((folder, "--plain", "--max-new", 6, "--seed", 1), "The river")
    assert code == 0 and out.strip() and out == out.lstrip()


def test_a_server_stands_in_for_a_folder_and_reads_the_whole_conversation(say, tmp_path):
    hello = [delta(role="assistant", content=""), delta(content="你"), delta(content="好"), delta(finish="stop"), DONE]
    with running() as server:
        server.script = [(200, {}, hello), (200, {}, hello), (400, {}, {"error": "too long"})]
        code, out, err = say(("--base-url", server.url, "--model", "river", "--system", "Be kind."), "Hello", "More",
                             "And more", "Never asked")  # fmt: skip
    assert code == 2 and out == "你好\n你好\n" and "answered 400: too long" in err
    assert server.asked[1]["messages"] == [{"role": "system", "content": "Be kind."}, user("Hello"), assistant("你好"),
                                           user("More")]  # fmt: skip
    assert len(server.asked) == 3


# ---- what is typed, and what is kept ----


def typed(*lines):
    left = list(lines)
    return lambda prompt: left.pop(0) if left else None


@pytest.mark.parametrize(
    ("lines", "turn"),
    [
        (("Hello",), Turn("Hello")),
        (("  Hello  ",), Turn("Hello")),
        (("",), Turn("")),
        (("one \\", "two\\", "three", "four"), Turn("one \ntwo\nthree")),
        (("the end\\",), Turn("the end\\")),
        (('"""one', "", "  two", 'three"""', "four"), Turn("one\n\n  two\nthree")),
        (('"""', "/one", '"""'), Turn("/one")),
        (('"""one"""',), Turn("one")),
        (("/system be\\", "kind"), Turn("/system be\nkind", True)),
        ((), None),
    ],
)
def test_a_turn_is_a_line_or_several(lines, turn):
    assert next_turn(typed(*lines)) == turn


def test_a_block_without_an_end_is_a_mistake():
    with pytest.raises(DataError, match="inside of a block"):
        next_turn(typed('"""one', "two"))


def test_what_was_said_is_kept_only_with_its_answer():
    talk = Conversation("Be kind.")
    assert talk.asked("one") == [{"role": "system", "content": "Be kind."}, user("one")]
    assert talk.turns == 0 and talk.again() == "one"
    talk.answered("one", "1")
    talk.asked("two")
    assert talk.undo() == "one" and talk.again() == "two" and talk.messages == talk.asked("x")[:1]
    talk.system("")
    assert talk.messages == []
    with pytest.raises(SettingsError, match="nothing has been said"):
        talk.undo()


def test_a_loaded_conversation_that_ends_with_a_question_is_not_answered_yet(tmp_path):
    (tmp_path / "talk.json").write_text(json.dumps([user("one"), assistant("1"), user("two")]))
    talk = Conversation("Be kind.")
    talk.load(tmp_path / "talk.json")
    assert talk.messages == [user("one"), assistant("1")] and talk.again() == "two"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "found no JSON"), ("[" * 100_000, "nested too deeply"), ("5", "found no message"),
        ('[{"role": "user"}]', "message 0: found NoneType as its content"),
        ('[{"role": "tool", "content": "x"}]', "message 0: found the role 'tool'"),
        ('[{"role": "user", "content": "x"}, {"role": "system", "content": ""}]', "message 1: found the role 'system'"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_conversation_is_refused_and_never_written_over(tmp_path, content, sentence):
    path = tmp_path / "talk.json"
    path.write_text(content)
    talk = Conversation()
    talk.answered("one", "1")
    with pytest.raises(DataError, match=sentence):
        talk.load(path)
    with pytest.raises(SettingsError, match="is no conversation"):
        talk.save(path)
    assert path.read_text() == content and talk.turns == 1


# ---- a terminal ----


class Terminal:
    """`upwell chat` at a terminal of its own."""

    def __init__(self, *words):
        import pty

        self.master, slave = pty.openpty()
        environment = os.environ | {"TERM": "dumb", "NO_COLOR": "1", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "upwell", "chat", *map(str, words)]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment,
                                        start_new_session=True, preexec_fn=own_terminal)  # fmt: skip
        os.close(slave)
        self.screen, self.seen = b"", 0

    def type(self, keys):
        os.write(self.master, keys.encode())

    def wait(self, pattern, seconds=90):
        """The screen's text from what was waited for last to this pattern."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.screen[self.seen :].decode("utf-8", "replace"))):
            assert time.monotonic() < until, f"{pattern} is not in {self.screen[self.seen :]!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.screen += os.read(self.master, 65536)
                except OSError:         # Linux says so when the other side is closed
                    assert re.search(pattern, self.screen[self.seen :].decode("utf-8", "replace")), self.screen
        part = self.screen[self.seen :].decode("utf-8", "replace")[: found.end()]
        self.seen += len(part.encode())
        return part

    def press(self, key, pattern):
        """A key, again after each three seconds without an answer, as a person would.

        Python's readline does not see a Ctrl-C that comes between its last look and its waiting for a key.
        """
        for last in (False,) * 20 + (True,):
            self.type(key)
            try:
                return self.wait(pattern, 3)
            except AssertionError:
                if last:
                    raise

    def close(self):
        self.process.kill()
        self.process.wait(10)
        os.close(self.master)


def own_terminal():
    """Ctrl-C at this terminal goes to this process, which heeds it whatever started the tests ignores."""
    import fcntl
    import signal
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.skipif(os.name != "posix", reason="plays a terminal")
def test_at_a_terminal_ctrl_c_stops_an_answer_and_ctrl_d_ends(tmp_path):
    screen = Terminal(talking_folder(tmp_path / "talking", 4096), "--max-new", 8, "--seed", 3)
    try:
        screen.wait(r"talking, 4,096 tokens of context, .*/help lists the commands, Ctrl-D ends\.\s+> $")
        screen.type("The river\n")
        screen.wait(r"\d+ tokens · \d+\.\d tokens/s · first after \d")
        screen.type("/nonsense\n")
        screen.wait(r"/nonsense: there is no such command[\s\S]+\n> $")
        screen.type("half a line")
        screen.wait("half a line$")
        screen.press("\x03", r"\n> $")
        screen.type("/set max_new 4000\n/set min_new 4000\n")
        screen.wait(r"min_new = 4000\s+> $")    # else the terminal echoes what comes, and the prompt follows it
        screen.type("The sea\n")
        screen.wait(r"The sea\s+\S")
        screen.type("\x03")
        screen.wait(r"tokens · .* stopped")
        screen.type("/undo\n")
        screen.wait(r"Taken back: The sea\s+> $")
        screen.type("/set min_new 0\n/set max_new 4\nline one\\\n")
        screen.wait(r"line one\\\s+\. $")
        screen.type("line two\n")
        screen.wait(r"tokens/s · .*cut at max_new 4: /set max_new 8, then /retry\s+> $")
        screen.type("\x04")
        assert screen.process.wait(30) == 0 and b"Traceback" not in screen.screen
    finally:
        screen.close()


def test_a_folder_without_a_model_is_told_as_such(say, tmp_path):
    (tmp_path / "data").mkdir()
    code, out, err = say((tmp_path,), "The river")
    assert code == 2 and out == "" and "holds no model" in err and len(err.splitlines()) == 1
