"""A chat as text and as token ids: one object for training, evaluation and serving.

    template = Template.load(folder) or plain()
    ids = template.ids(messages, tokenizer)                 # what the model reads before it answers
    ids, mask = template.ids_and_mask(messages, tokenizer)  # a whole chat; True: the model's own words, to be learnt

A template is Jinja that came with a model; it runs in `sandbox`. What a user types stays text: the strings of special
tokens count only where the template itself writes them, so no message can end a turn or begin another. A template may
bring apart what a user typed and put it together anew (`replace` in the middle of a special token's string); that one
way it could be fooled. The tokenizer is handed in: it has cut, special and encode.
"""

import bisect
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from upwell.atomic import write_file
from upwell.errors import CheckpointError, DataError, UpwellError

FILE, MORE = "chat_template.jinja", "additional_chat_templates"
SAID = "so it is said"      # an answer that is put into a template to see what follows it

# A chat for models that never learnt a template. A user who writes "Assistant:" on a new line is read as the
# assistant; the text ends where the model begins the next "User:".
PLAIN = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content + '\\n\\n' }}"
    "{% elif message.role == 'user' %}{{ 'User: ' + message.content + '\\n' }}"
    "{% elif message.role == 'assistant' %}"
    "{{ 'Assistant:' }}{% generation %}{{ ' ' + message.content }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ raise_exception('message ' ~ loop.index0 ~ ': found the role \\'' ~ message.role ~ "
    "'\\', expected system, user or assistant') }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
PLAIN_STOPS = ("\nUser:",)


class Chat(list):
    """Messages, with what goes beside them.

    tools     functions that the model may call, as OpenAI's words have them (see `calls`)
    goes_on   the last message is the model's own and not finished: it is to be gone on with
    """

    def __init__(self, messages: Sequence[dict], tools: Sequence[dict] = (), goes_on: bool = False):
        super().__init__(messages)
        self.tools, self.goes_on = list(tools), goes_on


@dataclass(frozen=True)
class Rendering:
    """A chat as text, with what is known about its characters."""

    text: str
    guards: tuple[int, ...]
    """Places between two characters that no special token may cross: a user typed what stands on one side."""
    spans: tuple[tuple[int, int], ...]
    """From where to where the model itself speaks, where the template says so."""


class Template:
    """How the chats of one model are written.

    sources   the template, or several by name: "default", and "tool_use" for chats with tools
    tokens    the strings that templates call bos_token, eos_token, ...
    stops     strings at which an answer ends, for templates without an end token
    """

    def __init__(self, sources: str | Mapping[str, str], tokens: Mapping[str, str] | None = None,
                 stops: Sequence[str] = ()):  # fmt: skip
        self.sources = {"default": sources} if isinstance(sources, str) else dict(sources)
        self.tokens, self.stops = dict(tokens or {}), tuple(stops)
        if "default" not in self.sources:
            raise CheckpointError(f"found chat templates called {', '.join(self.sources) or 'nothing'}, and none "
                                  "called default; name the usual one so")
        wrong = [name for name in self.sources if not re.fullmatch(r"[\w-]{1,64}", name)]
        if wrong:
            raise CheckpointError(f"found a chat template called {wrong[0]!r}, expected letters, digits, - and _")

    @property
    def hash(self) -> str:
        """SHA-256: two templates with the same hash write the same."""
        return hashlib.sha256(json.dumps([self.sources, self.tokens], sort_keys=True).encode()).hexdigest()

    @property
    def plain(self) -> bool:
        """Whether it is our own, for models that never learnt one."""
        return self.sources["default"] == PLAIN

    @property
    def knows_tools(self) -> bool:
        """Whether it writes out what functions the model may call."""
        return "tool_use" in self.sources or "tools" in self.sources["default"]

    @classmethod
    def load(cls, folder: str | Path) -> "Template | None":
        """The template of a model folder, None where it has none. CheckpointError names a damaged file."""
        folder = Path(folder)
        config = _json(folder / "tokenizer_config.json")
        sources = _files(folder) or config.get("chat_template") or _json(folder / "chat_template.json").get(
            "chat_template")  # fmt: skip
        if isinstance(sources, list):
            sources = {str(one.get("name")): one.get("template") for one in sources if isinstance(one, dict)}
        if not sources:
            return None
        texts = sources.values() if isinstance(sources, dict) else [sources]
        if not all(isinstance(text, str) for text in texts):
            raise CheckpointError(f"{folder}: its chat template is no text; copy tokenizer_config.json again")
        return cls(sources, _tokens(_json(folder / "special_tokens_map.json")) | _tokens(config))

    def save(self, folder: str | Path) -> list[str]:
        """Write what transformers reads: chat_template.jinja, and the others by name. Gives the files' names."""
        named = {name: f"{MORE}/{name}.jinja" for name in self.sources} | {"default": FILE}
        for name, source in self.sources.items():
            write_file(Path(folder) / named[name], source.encode("utf-8"))
        return [named[name] for name in self.sources]

    def render(self, messages: list[dict], add_generation_prompt: bool = True, tools: list[dict] | None = None) -> str:
        """The text. messages: [{"role": ..., "content": ...}, ...]; add_generation_prompt: up to the model's turn.

        DataError for messages that the template refuses, CheckpointError for a template that is broken.
        """
        return self._rendered(messages, add_generation_prompt, tools, {}).text

    def ids(self, messages: list[dict], tokenizer, add_generation_prompt: bool = True,
            tools: list[dict] | None = None) -> list[int]:  # fmt: skip
        """Token ids of the text; nothing is added before or behind what the template writes. Errors as `render`."""
        rendering = self._rendered(messages, add_generation_prompt, tools, tokenizer.special)
        ids = [token for token, _, _ in cut(rendering, tokenizer)]
        first = tokenizer.special.get(self.tokens.get("bos_token", ""))
        if first is not None and ids[:2] == [first, first]:
            raise DataError(f"the chat template writes {self.tokens['bos_token']} twice at the start of the text; "
                            "take one of them out of the template")
        return ids

    def ids_and_mask(self, messages: list[dict], tokenizer,
                     tools: list[dict] | None = None) -> tuple[list[int], list[bool]]:  # fmt: skip
        """Ids of a whole chat, and which of them the model itself says, with the token that ends its turn.

        What the model says is what {% generation %} encloses, else what follows the text that it answers.
        DataError also where that cannot be told, or where no end token belongs to it: it would never learn to stop.
        """
        rendering = self._rendered(messages, False, tools, tokenizer.special)
        spans = rendering.spans if self._program(tools).tagged else list(self._answers(messages, rendering.text, tools))
        spans = [self._ended(rendering.text, span, tokenizer) for span in spans]
        tokens = cut(rendering, tokenizer)
        return [token for token, _, _ in tokens], _marked(tokens, spans)

    def closing(self, tokenizer) -> int | None:
        """Id of the special token that the template writes behind an answer, None where it writes none."""
        try:
            text = self.render([{"role": "user", "content": "Say it."}, {"role": "assistant", "content": SAID}], False)
        except UpwellError:
            return None
        found = _either(tuple(tokenizer.special)).match(text.rpartition(SAID)[2].lstrip()) if SAID in text else None
        return tokenizer.special[found[0]] if found else None

    def _rendered(self, messages: list[dict], prompt: bool, tools: list[dict] | None, special) -> Rendering:
        check(messages, self.plain)
        begin, end, guard = unused(messages, tools, self.sources)
        typed = Guard(guard, special)
        data = {"messages": typed(messages), "tools": typed(tools), "documents": None, "add_generation_prompt": prompt}
        return read(self._program(tools).run(self.tokens | data, begin, end), begin, end, guard)

    def _program(self, tools: list[dict] | None):
        name = "tool_use" if tools and "tool_use" in self.sources else "default"
        if name not in self._programs:
            from upwell.text.sandbox import Program  # Jinja is there only when a chat is

            self._programs[name] = Program(self.sources[name])
        return self._programs[name]

    @cached_property
    def _programs(self) -> dict:
        return {}

    def _answers(self, messages: list[dict], text: str, tools: list[dict] | None) -> Iterator[tuple[int, int]]:
        """Where the assistant's turns stand in the text of all messages."""
        for number, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self.render(messages[:number], True, tools) if number else ""
                after = self.render(messages[: number + 1], False, tools)
                if not (text.startswith(before) and text.startswith(after) and len(before) < len(after)):
                    raise DataError(f"message {number}: the chat template writes the turns before it differently when "
                                    "others follow, so what the model says cannot be found; put {% generation %} "
                                    "around it in the template, or give each answer as the last of its own chat")
                yield len(before), len(after)

    def _ended(self, text: str, span: tuple[int, int], tokenizer) -> tuple[int, int]:
        """The span up to its end token, without the white space behind it."""
        start, end = span
        end = start + len(text[start:end].rstrip())
        ends = {*tokenizer.special, self.tokens.get("eos_token", "")} - {""}
        if not any(text.endswith(one, start, end) for one in ends):
            raise DataError(f"the chat template writes no end token after {text[start:end][-30:]!r}, so that it would "
                            "never be learnt when to stop; write eos_token there, inside {% generation %}")
        return start, end


def plain() -> Template:
    """Our own, for models that never learnt one: "User: ..." and "Assistant: ..." on lines of their own."""
    return Template(PLAIN, stops=PLAIN_STOPS)


def check(messages, plain: bool = False) -> None:
    """DataError for what is no chat."""
    if not isinstance(messages, list) or not messages:
        raise DataError("found no message, expected at least one with a role and a content")
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or not role:
            raise DataError(f"message {number}: found no role, expected one such as user or assistant")
        content = message.get("content")
        if not isinstance(content, str) and (plain or not isinstance(content, list | None)):
            raise DataError(f"message {number}: found {type(content).__name__} as its content, expected a text")


class Guard:
    """A copy of the data in which a sign stands inside of each special token's string, and behind what begins one."""

    def __init__(self, sign: str, special: Mapping[str, int]):
        self.sign, self.whole, self.begins = sign, _either(tuple(special)), _begins(tuple(special))
        self.longest = max(map(len, self.begins), default=0)

    def __call__(self, value, end: bool = True):
        """Plain data of any depth; DataError for anything else. end: guard what stands at the end of a text as well."""
        if isinstance(value, str):
            return self.text(str(value), end)
        if isinstance(value, list | tuple):
            return [self(part, end) for part in value]
        if isinstance(value, dict):     # templates compare keys, roles and types with words of their own
            return {self(key, False): self(part, key not in ("role", "type")) for key, part in value.items()}
        if value is None or isinstance(value, bool | int | float):
            return value
        raise DataError(f"found {type(value).__name__} in a message, expected plain data: texts, numbers, lists")

    def text(self, text: str, end: bool = True) -> str:
        """One string; DataError where it has no UTF-8 form."""
        if half := re.search("[\ud800-\udfff]", text):
            raise DataError(f"a message: character {half.start()} is half of a surrogate pair, expected valid Unicode")
        text = self.whole.sub(lambda found: found[0][0] + self.sign + found[0][1:], text)
        words = text.rstrip()           # templates trim
        begun = any(words[-length:] in self.begins for length in range(1, min(self.longest, len(words)) + 1))
        return words + self.sign + text[len(words) :] if end and begun else text


def unused(*values) -> list[str]:
    """Three characters that stand in none of these; they are of a plane that Unicode leaves to private use."""
    text = json.dumps(values, ensure_ascii=False, default=str)
    free = (sign for sign in map(chr, range(0xF0000, 0xFFFFE)) if sign not in text)
    return [next(free) for _ in range(3)]


def read(marked: str, begin: str, end: str, guard: str) -> Rendering:
    """A rendered text with its signs -> the text, and where they stood."""
    parts, guards, spans, start, length = [], [], [], None, 0
    for part in re.split(f"([{begin}{end}{guard}])", marked):
        if part == guard:
            guards.append(length)
        elif part == begin:
            start = length if start is None else start
        elif part == end:
            spans.append((start, length))
            start = None
        else:
            parts.append(part)
            length += len(part)
    if start is not None or any(first is None for first, _ in spans):
        raise CheckpointError("the chat template tears {% generation %} apart; enclose whole answers with it")
    return Rendering("".join(parts), tuple(guards), tuple(spans))


def cut(rendering: Rendering, tokenizer) -> list[tuple[int, int, int]]:
    """(id, first character, character behind the last) of each token.

    Where nobody typed a special token's string this is the tokenizer's own reading of the whole text. Otherwise the
    text between the template's special tokens is read as plain text.
    """
    found, typed = _written(rendering, _either(tuple(tokenizer.special)))
    if not typed:
        return tokenizer.cut(rendering.text, special=True)
    tokens, at = [], 0
    for start, end in [*found, (len(rendering.text), len(rendering.text))]:
        between = _between(rendering.text[at:start], at > 0, tokenizer) if start > at else []
        tokens += [(token, at + first, at + last) for token, first, last in between]
        tokens += [(tokenizer.special[rendering.text[start:end]], start, end)] if end > start else []
        at = end
    return tokens


def _between(text: str, within: bool, tokenizer) -> list[tuple[int, int, int]]:
    """Plain text, or one within another: behind a line's end, where no tokenizer puts a space before the first word."""
    tokens = tokenizer.cut("\n" + text) if within else []
    if all(first > 0 or last <= 1 for _, first, last in tokens) and tokens:
        return [(token, first - 1, last - 1) for token, first, last in tokens if first > 0]
    return tokenizer.cut(text)


def _written(rendering: Rendering, special: re.Pattern) -> tuple[list[tuple[int, int]], bool]:
    """Special tokens' strings that the template wrote, and whether there are others, which were typed."""
    found, typed, at, guards = [], False, 0, rendering.guards
    while match := special.search(rendering.text, at):
        start, end = match.span()
        if bisect.bisect_right(guards, start) < bisect.bisect_left(guards, end):
            typed, at = True, start + 1
        else:
            found.append((start, end))
            at = end
    return found, typed


def _marked(tokens: list[tuple[int, int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Which tokens have a character in a span; those without characters go with the ones around them."""
    mask = [False] * len(tokens)
    starts, ends = [first for _, first, _ in tokens], [last for _, _, last in tokens]
    for start, end in spans:
        for number in range(bisect.bisect_right(ends, start), bisect.bisect_left(starts, end)):
            mask[number] = True
    return mask


@lru_cache(16)
def _either(special: tuple[str, ...]) -> re.Pattern:
    """Any of the strings, the longer ones first; of none a pattern that never fits. Kept: some models have hundreds."""
    return re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")


@lru_cache(16)
def _begins(special: tuple[str, ...]) -> frozenset[str]:
    """Everything that one of the strings begins with, short of all of it."""
    return frozenset(name[:length] for name in special for length in range(1, len(name)))


def _files(folder: Path) -> dict[str, str]:
    """The templates that stand in files of their own."""
    paths = {path.stem: path for path in sorted((folder / MORE).glob("*.jinja"))} if (folder / FILE).is_file() else {}
    paths |= {"default": folder / FILE} if (folder / FILE).is_file() else {}
    return {name: _text(path) for name, path in paths.items()}


def _tokens(config: dict) -> dict[str, str]:
    """bos_token, eos_token and their like, by name."""
    found = {name: value.get("content") if isinstance(value, dict) else value for name, value in config.items()
             if name.endswith("_token")}  # fmt: skip
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _json(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        found = json.loads(_text(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}); copy it again from its source") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no JSON object; copy it again from its source")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again from its source") from None
