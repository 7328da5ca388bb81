"""Talk with a model in the terminal.

Type and press Enter. A line that ends in a backslash goes on in the next one; a block of lines begins and ends with
three quotation marks. Ctrl-C stops an answer, Ctrl-D ends. /help lists what else there is: /settings, /set, /save,
/load, /retry, /undo, /system, /clear, /quit.
The model is a folder with a chat template (default: the newest run in runs/), the name of one that was fetched, or,
with --base-url, one of any server that speaks OpenAI's language. A model without a template never learnt to answer;
--plain speaks to it in plain turns all the same.
Where standard input is no terminal each line is a turn, the answers alone go to standard output, and the first mistake
ends the program.

Examples:
    upwell chat folders/chat-model
    upwell chat folders/chat-model --system "Answer in one sentence." --temperature 0.3
    upwell chat --load talk.json
    upwell chat --base-url http://127.0.0.1:8000/v1 --model first
    echo "What is the capital of France?" | upwell chat folders/chat-model --temperature 0
"""

import json
import sys
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

from upwell import terminal
from upwell.errors import CheckpointError, SettingsError, UpwellError
from upwell.generation import settings as writing
from upwell.settings import checked, did_you_mean, plain
from upwell.text.chat import Template
from upwell.verbs._asking import timed, timings, writing_of
from upwell.verbs._conversation import Conversation
from upwell.verbs._models import Which, model_folder, open_backend
from upwell.verbs._typing import QUOTES, Lines, Turn, at_terminal, in_pipe, next_turn

COMMANDS = {
    "settings": ("", "how the model writes"),
    "set": ("NAME [VALUE]", "change one of the settings; without a value it becomes what it was at first"),
    "system": ("[TEXT]", "tell the model who it is; without a text that is taken away"),
    "retry": ("", "another answer to what you said last"),
    "undo": ("", "take back what you said last, and its answer"),
    "clear": ("", "begin anew; the system's text stays"),
    "save": ("[FILE]", "write the conversation as JSON; without a name where it was saved last"),
    "load": ("FILE", "go on with a conversation that was saved"),
    "help": ("", "this list"),
    "quit": ("", "end; so does Ctrl-D"),
}
NAMES = tuple(field.name for field in fields(writing.Settings))


@dataclass(frozen=True)
class Settings(writing.Settings, Which):
    """With which model, and how it writes."""

    max_new: int = 1000
    """The most tokens of an answer; it also ends where the model's context is full."""
    system: str = ""
    """What the model is told before the conversation begins."""
    load: Path | None = None
    """Go on with a conversation that /save wrote."""
    plain: bool = False
    """Speak to a model without a chat template too, in plain turns."""
    api_key: str | None = None
    """The server's key; default: the environment variable UPWELL_API_KEY."""

    def __post_init__(self):
        writing.Settings.__post_init__(self)
        Which.__post_init__(self)


def main(settings: Settings) -> None:
    conversation = Conversation()
    if settings.load is not None:
        conversation.load(settings.load)
    if settings.system:
        conversation.system(settings.system)
    if settings.base_url is None:
        settings = replace(settings, folder=model_folder(settings.folder))
        check_template(settings)
    live = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    lines = at_terminal([f"/{name}" for name in COMMANDS] + list(NAMES)) if live else in_pipe(sys.stdin.buffer)
    opened = open_backend(settings, settings.api_key, rows=1)
    try:
        talk = Talk(opened.backend, conversation, writing_of(settings), lines, live)
        talk.file = settings.load
        talk.greet(sum(opened.seconds.values()))
        talk.run()
    finally:
        opened.backend.close()


def check_template(settings: Settings) -> None:
    """CheckpointError for a folder without a chat template, unless it is to be spoken to all the same."""
    folder = settings.folder
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} holds no model, there is no config.json in it; name a model's folder")
    if folder.is_dir() and not settings.plain and Template.load(folder) is None:
        raise CheckpointError(f"{folder} has no chat template, so the model never learnt to answer; `upwell generate "
                              f"{folder} --prompt ...` goes on with a text, --plain speaks to it all the same, and "
                              "what began with `upwell tokenizer --chat` learns it by `upwell finetune`")  # fmt: skip


class Talk:
    """Turns of a user and a model, until the user ends it.

    live: somebody sits at a terminal. Then mistakes are told and it goes on; else they are raised.
    """

    def __init__(self, backend, conversation: Conversation, how: writing.Settings, lines: Lines, live: bool):
        self.backend, self.conversation, self.lines, self.live = backend, conversation, lines, live
        self.how = self.first = how
        self.file: Path | None = None
        self.tries = 0      # of the last turn; each has a seed of its own

    def greet(self, seconds: float) -> None:
        """The first line on a terminal."""
        if not self.live:
            return
        config = getattr(self.backend, "config", None)
        about = f", {config.context:,} tokens of context, loaded in {seconds:.1f} s" if config else ""
        terminal.say(f"{self.backend.name}{about}. /help lists the commands, Ctrl-D ends.")
        if self.conversation.messages:
            self.recall()

    def run(self) -> None:
        """Take turns until there are no more."""
        going = True
        while going:
            try:
                going = self.turn()
            except KeyboardInterrupt:
                if not self.live:
                    raise
                write("\n")

    def turn(self) -> bool:
        """Take one turn; at a terminal a mistake is told. False where it was the last."""
        from upwell.cli import sentence

        try:
            turn = next_turn(self.lines)
            return turn is not None and self.take(turn)
        except (UpwellError, OSError) as error:
            if not self.live:
                raise
            terminal.fail(sentence(error))
            return True

    def take(self, turn: Turn) -> bool:
        """Answer, or do what a command says; False where that is to end."""
        if turn.command:
            return self.obey(turn.text)
        if turn.text:
            self.tries = 0
            self.answer(turn.text)
        return True

    # ---- answers ----

    def answer(self, said: str) -> None:
        """Let the model answer. What was said is kept only with an answer, whole or stopped by Ctrl-C."""
        messages = self.conversation.asked(said)
        how, events, stopped = self.fitted(messages), [], False
        try:
            self.stream(messages, how, events)
        except KeyboardInterrupt:
            if not self.live:
                raise
            stopped = True
        finally:
            text = self.ended(events)
        if stopped and not text:
            terminal.note("Stopped before it began; /retry asks again.")
            return
        self.conversation.answered(said, text)
        if self.live:
            terminal.note(" · ".join(self.told(events, how, stopped)))

    def fitted(self, messages: list[dict]) -> writing.Settings:
        """How to write, with no more tokens than the context has room for. SettingsError where it has none."""
        how = self.how if self.how.seed is None else replace(self.how, seed=self.how.seed + self.tries)
        if not hasattr(self.backend, "taken"):
            return how
        taken, context = self.backend.taken(messages), self.backend.config.context
        if taken >= context:
            raise SettingsError(f"the conversation has {taken:,} tokens with what you just said, but "
                                f"{self.backend.name} reads at most {context:,}, its answer included; /undo takes the "
                                "last turn back, /clear begins anew, /retry asks again")  # fmt: skip
        room = min(how.max_new, context - taken)
        return replace(how, max_new=room, min_new=min(how.min_new, room))

    def stream(self, messages: list[dict], how: writing.Settings, events: list) -> None:
        """Show the pieces of an answer as they come and put them into `events`, with their seconds."""
        begin, begun = time.perf_counter(), False
        answer = self.backend.generate(messages, how)
        try:
            for event in timed(begin, answer):
                events.append(event)
                text = event[1].text if begun or not self.spaced else event[1].text.lstrip()
                begun = begun or bool(text)
                write(terminal.harmless(text) if self.live else text)
        finally:
            answer.close()

    @property
    def spaced(self) -> bool:
        """Whether answers begin with a space that is no part of them, as in plain turns."""
        template = getattr(self.backend, "template", None)
        return template is not None and template.plain

    def ended(self, events: list) -> str:
        """The answer so far; its last line is ended on the screen."""
        text = "".join(piece.text for _, piece in events)
        if text and not text.endswith("\n"):
            write("\n")
        return text.strip() if self.spaced else text

    def told(self, events: list, how: writing.Settings, stopped: bool) -> list[str]:
        """Length, speed and end of an answer, in words."""
        end, times = events[-1][1], timings(events)
        new = end.usage.new if end.usage else sum(len(piece.tokens) for _, piece in events)
        parts = [f"{new} tokens"] if new else []
        parts += [f"{times['tokens_per_second']:.1f} tokens/s"] if "tokens_per_second" in times else []
        parts += [f"first after {times['first_token_seconds']:.2f} s"]
        if stopped:
            return [*parts, "stopped"]
        if end.finish == "length" and how.max_new < self.how.max_new:
            return [*parts, f"the context of {self.backend.config.context:,} tokens is full: /undo or /clear"]
        if end.finish == "length":
            return [*parts, f"cut at max_new {how.max_new}: /set max_new {2 * how.max_new}, then /retry"]
        return parts

    # ---- commands ----

    def obey(self, text: str) -> bool:
        """Do what a command says; False for /quit."""
        name, *rest = text[1:].split(maxsplit=1) or [""]
        if name not in COMMANDS:
            near = did_you_mean(f"/{name}", [f"/{known}" for known in COMMANDS])
            raise SettingsError(f"/{name}: there is no such command{near} A text that begins with a slash goes between "
                                f"{QUOTES} and {QUOTES}.")  # fmt: skip
        if name == "quit":
            return False
        getattr(self, name)(*rest)
        return True

    def help(self, _: str = "") -> None:
        """Every command in a line."""
        for name, (given, what) in COMMANDS.items():
            terminal.say(f"  {f'/{name} {given}':<20}{what}")
        terminal.say(f"  {'Ctrl-C':<20}stop the answer")
        terminal.say(f"A line that ends in \\ goes on in the next one; {QUOTES} begins and ends a block of lines.")

    def settings(self, _: str = "") -> None:
        """Every setting in a line; one that was changed says what it was."""
        for name in NAMES:
            value, before = getattr(self.how, name), getattr(self.first, name)
            terminal.say(f"  {name:<20}{shown(value)}" + ("" if value == before else f"   (at first {shown(before)})"))

    def set(self, given: str = "") -> None:
        """Change one setting."""
        name, *value = given.split(maxsplit=1) or [""]
        name = name.replace("-", "_")
        if name not in NAMES:
            near = did_you_mean(name, NAMES)
            raise SettingsError(f"/set: found {name or 'nothing'}, expected the name of a setting{near}")
        found = value_of(name, value[0]) if value else getattr(self.first, name)
        self.how = replace(self.how, **{name: found})
        terminal.say(f"{name} = {shown(getattr(self.how, name))}")

    def system(self, text: str = "") -> None:
        """What stands before all messages."""
        self.conversation.system(text)
        terminal.say("The model is told this from the next answer on." if text else "The model is told nothing.")

    def retry(self, _: str = "") -> None:
        """Another answer to what was said last, by another seed."""
        said = self.conversation.again()
        self.tries += 1
        self.answer(said)

    def undo(self, _: str = "") -> None:
        """Take a turn back."""
        said = self.conversation.undo()
        terminal.say(f"Taken back: {short(said)}")

    def clear(self, _: str = "") -> None:
        """Begin anew."""
        self.conversation.clear()
        terminal.say("The conversation begins anew.")

    def save(self, name: str = "") -> None:
        """Write the conversation."""
        path = self.file if not name else Path(name).expanduser()
        if path is None:
            raise SettingsError("/save: expected the name of a file, such as talk.json")
        self.conversation.save(path)
        self.file = path
        terminal.say(f"{path}: {len(self.conversation.messages)} messages")

    def load(self, name: str = "") -> None:
        """Go on with a saved conversation."""
        if not name:
            raise SettingsError("/load: expected the name of a file that /save wrote")
        path = Path(name).expanduser()
        self.conversation.load(path)
        self.file = path
        self.recall()

    def recall(self) -> None:
        """The end of a conversation that was loaded."""
        messages = self.conversation.messages
        terminal.say(f"{len(messages)} messages" + ("; the last of them:" if messages else ""))
        for message in messages[-2:]:
            terminal.say(f"  {message['role']}: {short(message['content'])}")
        if self.conversation.unanswered:
            terminal.say(f"Not answered yet: {short(self.conversation.unanswered)} (/retry)")


def value_of(name: str, text: str):
    """A typed value as the setting takes it: JSON, or the text as it stands; one thing where it takes several."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None if text.lower() == "none" else text
    fault = None
    for value in (said, text, [said], [text]):
        try:
            return checked(writing.Settings, name, value)
        except SettingsError as error:
            fault = fault or error
    raise fault


def shown(value) -> str:
    """A setting's value on one line."""
    return short(json.dumps(plain(value), ensure_ascii=False))


def short(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(terminal.harmless(text).split())
    return line if len(line) <= 100 else f"{line[:100]}..."


def write(text: str) -> None:
    """Text to standard output, now."""
    sys.stdout.write(text)
    sys.stdout.flush()
