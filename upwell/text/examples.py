"""Supervised data recognised by looking: a record of any usual layout -> the one form of its task, or why not.

    layout = recognise(record)          # "alpaca", "messages", "plain" ..., or None
    found = example(record, layout)     # Example(kind, text, fields), or a sentence: what was expected, what was found
    found = document(record, source)    # both at once: a Document or a Fault

    task     fields beside "task"
    chat     messages: [{"role": "system" | "user" | "assistant", "content": text}, ...]
    answer   question, context, answers: texts, none where the context does not answer
    label    text, label: a text, a number, true, false, or a list of texts and numbers; pair: a second text, where the
             label is about two
    pair     source, target, source_language, target_language: codes, "" where they are not known; where they are there
             also negatives: texts that are like the target and are not it
    tag      tokens: words, tags: a text or a number for each

LAYOUTS is a table: the first row that fits a record is its layout, so a further layout is a row. Nothing is guessed
from what a text says, only from keys and from the form of their values. Nothing that would be learnt is left out in
silence: tool calls, pictures, thoughts and turns marked as not to be learnt are refused by name. Whatever a file
shows only as a whole is told by `survey`. The module knows no file and no tokenizer.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from upwell.text import KINDS, Document, Fault

PARTS = ("question", "context", "text", "pair", "label", "source", "target")
SHORT = 40  # characters of a value that a fault quotes
SPLITS = {"train": "train", "training": "train"}
SPLITS |= dict.fromkeys(("test", "testing", "validation", "valid", "val", "dev", "heldout", "eval"), "heldout")
"""What a record's key `split` says."""


class Example(NamedTuple):
    """A record read. kind: see Document; text: its strings, one below the other; fields: None for plain text."""

    kind: str
    text: str
    fields: dict[str, Any] | None


@dataclass(frozen=True)
class Layout:
    """One row of the table of layouts."""

    name: str
    read: Callable[["Given"], Example]
    """Raises Unfit, which says what was expected and what was found."""
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a record must have: our name -> the keys it goes by, the usual one first. The first value is not null."""
    may: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What it may have."""
    fits: Callable[["Given"], bool] = lambda given: True
    """What else tells it from other layouts with these keys."""


class Unfit(Exception):
    """Why a record does not keep to its layout."""


class Given:
    """A record as one layout sees it: values by our names."""

    def __init__(self, record: Mapping[str, Any], layout: Layout):
        self.record, self.layout = record, layout

    def key(self, name: str) -> str | None:
        """The key that a value goes by in this record; one that holds something before one that is null."""
        null = None
        for key in self.layout.needs.get(name) or self.layout.may.get(name, ()):
            if self.record.get(key) is not None:
                return key
            null = key if null is None and key in self.record else null
        return null

    def value(self, name: str) -> Any:
        key = self.key(name)
        return None if key is None else self.record[key]

    def text(self, name: str) -> str:
        """A text that must hold something."""
        return _full(self.value(name), self.key(name) or name)

    def optional(self, name: str) -> str:
        """A text that may be missing, null or empty; then ""."""
        value = self.value(name)
        return "" if value is None else _text(value, self.key(name) or name)

    def fit(self) -> bool:
        """Whether the record, which has the keys that its layout needs, has the form of it as well."""
        first = next(iter(self.layout.needs), None)
        return (first is None or self.value(first) is not None) and self.layout.fits(self)


def recognise(record: Mapping[str, Any]) -> str | None:
    """The name of the layout that a record has, None where it has none that is known."""
    return next((layout.name for layout in _possible(tuple(record)) if Given(record, layout).fit()), None)


@lru_cache(256)
def _possible(keys: tuple[str, ...]) -> tuple[Layout, ...]:
    """The layouts that these keys allow; most files have the same keys in every record."""
    return tuple(one for one in LAYOUTS if all(any(key in keys for key in known) for known in one.needs.values()))


def example(record: Mapping[str, Any], layout: str | None) -> Example | str:
    """What a record of this layout says; a sentence with what was expected and found where it does not keep to it."""
    if layout is None:
        return unknown(record)
    try:
        return BY_NAME[layout].read(Given(record, BY_NAME[layout]))
    except Unfit as fault:
        return str(fault)


def document(record: Any, source: str) -> Document | Fault:
    """A record as a document. source: "file:line"."""
    if not isinstance(record, Mapping):
        return Fault(source, f'expected an object such as {{"text": ...}}, found {_short(record)}')
    layout = recognise(record)
    found = example(record, layout)
    if isinstance(found, str):
        return Fault(source, found)
    title, label = record.get("title"), record.get("label")
    if found.fields is None and isinstance(wrong := _no_texts(title=title, label=label), str):
        return Fault(source, wrong)
    title = _no_other(title) if layout not in ("label", "compare") else ""
    label = found.fields["label"] if found.fields and found.fields["task"] == "label" else _no_other(label)
    kind = record["kind"] if found.fields is None and record.get("kind") in KINDS else found.kind
    split = record.get("split")
    split = SPLITS.get(split.lower(), "") if isinstance(split, str) else ""
    return Document(found.text, source, title, _as_text(label), kind, fields=found.fields, split=split)


def hollow(fields: Mapping[str, Any]) -> str:
    """The first part of an example that says nothing, as steps may leave one behind; "" where each says something."""
    parts = {f"messages[{at}]": one["content"] for at, one in enumerate(fields.get("messages", ()))}
    for name in ("answers", "negatives", "tokens"):
        parts |= {f"{name}[{at}]": one for at, one in enumerate(fields.get(name, ()))}
    parts |= {name: fields[name] for name in PARTS if isinstance(fields.get(name), str)}
    return next((name for name, text in parts.items() if not text.strip()), "")


def records(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(place, record) of a whole JSON file: a list, {"data": a list}, SQuAD's articles, or one record."""
    if isinstance(value, Mapping) and isinstance(value.get("data"), list) and not _said_by_turns(value["data"]):
        value, place = value["data"], f"{place}data"
    if not isinstance(value, list):
        yield place, value
        return
    for number, one in enumerate(value):
        if isinstance(one, Mapping) and isinstance(one.get("paragraphs"), list):
            yield from _articles(one, f"{place}[{number}]")
        else:
            yield f"{place}[{number}]", one


def pairs(
    source: Iterable[str], target: Iterable[str], languages: tuple[str, str] = ("", "")
) -> Iterator[tuple[int, Example | str]]:
    """(line number, what the two lines say or a fault) of two parallel files; lines empty in both are passed over.

    A file that is longer than the other, but for empty lines, is the last fault.
    """
    names = [name or f"the {place} file" for name, place in zip(languages, ("first", "second"), strict=True)]
    lines = enumerate(zip_longest(source, target), start=1)
    for number, (one, other) in lines:
        if one is None or other is None:
            yield from _longer(number, chain([(one, other)], (two for _, two in lines)), names)
            return
        one, other = one.strip("\r\n"), other.strip("\r\n")
        if one.strip() and other.strip():
            yield number, _pair(one, other, *languages)
        elif one.strip() or other.strip():
            empty = names[0] if other.strip() else names[1]
            yield number, f"expected a text in both files, found an empty line in {empty}"


def _longer(number: int, rest: Iterable[tuple[str | None, str | None]], names: list[str]) -> Iterator[tuple[int, str]]:
    """The fault of lines from `number` on that have no partner, where any of them says something."""
    ends = [number - 1, number - 1]
    for line, two in enumerate(rest, start=number):
        ends = [line if text and text.strip() else end for end, text in zip(ends, two, strict=True)]
    if ends[0] != ends[1]:
        told = " and ".join(f"{end:,} in {name}" for end, name in zip(ends, names, strict=True))
        yield number, f"expected as many lines in both files, found {told}: their lines do not belong together"


def unknown(record: Mapping[str, Any]) -> str:
    """The fault of a record that no layout fits: all that are known, and the nearest."""
    keys = ", ".join(repr(key) + (" (null)" if value is None else "") for key, value in list(record.items())[:12])
    found = f"the keys {keys}" if keys else "no key"
    known = ", ".join(layout.name for layout in LAYOUTS)
    layout = max(LAYOUTS, key=lambda layout: _nearness(record, layout))
    layout = layout if any(_nearness(record, layout)) else BY_NAME["plain"]
    return f"expected one of the layouts {known}, found {found}; nearest is {_lack(record, layout)}"


def _nearness(record: Mapping[str, Any], layout: Layout) -> tuple[float, int]:
    """How much of what a layout needs is there, a misspelt key for half; of equals the one with more of it."""
    if not layout.needs:
        return 0.0, 0
    there = [1.0 if _has(record, keys) else 0.5 if _misspelt(record, keys) else 0.0 for keys in layout.needs.values()]
    return sum(there) / len(there), len(there) if any(there) else 0


def _lack(record: Mapping[str, Any], layout: Layout) -> str:
    lacking = {keys[0]: _misspelt(record, keys) for keys in layout.needs.values() if not _has(record, keys)}
    told = " and ".join(f"{key} (for {near!r}?)" if near else key for key, near in lacking.items())
    also = "" if len(lacking) == len(layout.needs) else "also "
    return f"{layout.name}, which {also}needs {told or 'another form of it'}"


def _has(record: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    return any(record.get(key) is not None for key in keys)


def _misspelt(record: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """A key of the record that may be one of these, misspelt; else ""."""
    lower = {str(key).lower(): str(key) for key in record if key not in keys}
    near = [name for key in keys for name in get_close_matches(key, lower, n=1, cutoff=0.8)]
    return lower[near[0]] if near else ""


# ---- chats ----

ROLES = {
    "user": "user", "human": "user", "prompter": "user", "assistant": "assistant", "gpt": "assistant",
    "chatgpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant", "bing": "assistant",
    "bard": "assistant", "system": "system", "developer": "system",
}  # fmt: skip
TOOLS = ("tool", "function", "function_call", "observation", "ipython")
SPEAKERS, WORDS = ("from", "role", "speaker"), ("value", "content", "text")
USUAL = {"from": "human, gpt or system", "role": "user, assistant or system", "speaker": "user, assistant or system"}
NOT_YET = ("tool_calls", "function_call", "tools", "functions", "reasoning_content", "thinking", "images", "image")
CHATS = ("conversation", "dialog", "dialogue", "turns", "chat")


def _form(given: Given) -> str:
    """The layout that the turns of a chat have by the keys of the first, else the one whose usual key they go by."""
    turns = given.value("messages")
    first = turns[0] if isinstance(turns, list) and turns else None
    if isinstance(first, str):
        return "turns"
    if isinstance(first, Mapping) and ("from" in first or "value" in first):
        return "sharegpt"
    if isinstance(first, Mapping) and ("role" in first or "content" in first):
        return "messages"
    return {"conversations": "sharegpt", "messages": "messages"}.get(given.key("messages"), "")


def _said_by_turns(value: list) -> bool:
    return bool(value) and isinstance(value[0], str)


def _conversation(given: Given) -> Example:
    """Turns with a speaker each."""
    _no_others(given.record, "")
    place = given.key("messages")
    usual = ("from", "value") if given.layout.name == "sharegpt" else ("role", "content")
    said = _turns(given.value("messages"), place, usual)
    return _chat([*_system(given), *said], f"{place} to hold a turn of {'gpt' if usual[0] == 'from' else 'assistant'}")


def _alternating(given: Given) -> Example:
    """Texts by turns of a user and the assistant."""
    place = given.key("messages")
    said = _list(given.value("messages"), place, "texts")
    texts = [_full(text, f"{place}[{number}]") for number, text in enumerate(said)]
    messages = [_message(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]
    return _chat([*_system(given), *messages], f"{place} to hold two texts or more")


def _alpaca(given: Given) -> Example:
    """An instruction, with an input below it where there is one."""
    _no_others(given.record, "")
    asked = [given.optional("instruction"), given.optional("input")]
    if not any(part.strip() for part in asked):
        raise Unfit(f"expected {given.key('instruction')} to hold a text, found {_short(given.value('instruction'))}")
    question = "\n\n".join(part for part in asked if part.strip())
    said = [_message("user", question), _message("assistant", given.text("output"))]
    return _chat([*_system(given), *_history(given), *said], "")


def _history(given: Given) -> list[dict[str, str]]:
    """Earlier turns: [[said by the user, answered], ...]."""
    messages = []
    for number, two in enumerate(_list(given.value("history") or [], "history", "turns", empty=True)):
        place = f"history[{number}]"
        if not isinstance(two, list) or len(two) != 2:
            raise Unfit(f"expected {place} to be a list of two texts, found {_short(two)}")
        roles = zip(("user", "assistant"), two, strict=True)
        messages += [_message(role, _full(text, f"{place}[{at}]")) for at, (role, text) in enumerate(roles)]
    return messages


def _completion(given: Given) -> Example:
    """A prompt and what follows it, each a text or a list of messages."""
    _no_others(given.record, "")
    messages = _system(given)
    for name, role in (("prompt", "user"), ("completion", "assistant")):
        value, key = given.value(name), given.key(name)
        said = isinstance(value, list)
        messages += _turns(value, key, ("role", "content")) if said else [_message(role, _full(value, key))]
    return _chat(messages, f"{given.key('completion')} to hold a turn of assistant")


def _turns(value: Any, place: str, usual: tuple[str, str]) -> list[dict[str, str]]:
    turns = [_turn(one, f"{place}[{at}]", usual) for at, one in enumerate(_list(value, place, "turns"))]
    return [turn for turn in turns if turn["content"]]


def _turn(one: Any, place: str, usual: tuple[str, str]) -> dict[str, str]:
    """One turn; its content is "" for a system message that says nothing."""
    if not isinstance(one, Mapping):
        raise Unfit(f"expected {place} to be an object with {usual[0]} and {usual[1]}, found {_short(one)}")
    speaker = next((key for key in SPEAKERS if one.get(key) is not None), usual[0])
    words = next((key for key in WORDS if one.get(key) is not None), usual[1])
    role = _role(one.get(speaker), f"{place}.{speaker}", USUAL[speaker])
    _no_others(one, f"{place}.")
    if one.get("weight") in (0, False):
        raise Unfit(f"expected {place}.weight to be 1, found 0: a turn that is not to be learnt cannot be marked yet")
    text = _joined(one.get(words), f"{place}.{words}")
    return _message(role, text.strip() and text if role == "system" else _full(text, f"{place}.{words}"))


def _role(value: Any, place: str, usual: str) -> str:
    role = value.strip().lower() if isinstance(value, str) else ""
    if role in TOOLS:
        raise Unfit(f"expected {place} to be {usual}, found {value!r}: chats with tools cannot be learnt yet")
    if role not in ROLES:
        raise Unfit(f"expected {place} to be {usual}, found {_short(value)}")
    return ROLES[role]


def _joined(value: Any, place: str) -> str:
    """A content: a text, or a list of parts that are all texts."""
    if not isinstance(value, list):
        return _text(value, place)
    for number, part in enumerate(value):
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            found = part.get("type") if isinstance(part, Mapping) else part
            raise Unfit(f'expected {place}[{number}] to be {{"type": "text", "text": ...}}, found {_short(found)}')
    return "".join(part["text"] for part in value)


def _no_others(value: Mapping[str, Any], place: str) -> None:
    """Refuse what would be lost: it says something that the messages do not."""
    for key in NOT_YET:
        if value.get(key):
            raise Unfit(f"expected no {place}{key}, found {_short(value[key])}: it cannot be learnt yet")


def _system(given: Given) -> list[dict[str, str]]:
    text = given.optional("system")
    return [_message("system", text)] if text.strip() else []


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _chat(messages: list[dict[str, str]], expected: str) -> Example:
    if not any(message["role"] == "assistant" for message in messages):
        raise Unfit(f"expected {expected}, found none: nothing would be learnt")
    text = "\n".join(message["content"] for message in messages)
    return Example("dialogue", text, {"task": "chat", "messages": messages})


# ---- questions, labels, pairs, plain text ----

NO_ANSWER = {"", "no answer", "no answer present", "cannotanswer", "unanswerable"}


def _question(given: Given) -> Example:
    """A question, the text that answers it, and the answers; without any where the text does not."""
    question, context, answers = given.text("question"), given.text("context"), _answers(given)
    fields = {"task": "answer", "question": question, "context": context, "answers": answers}
    return Example("prose", "\n".join([context, question, *answers]), fields)


def _answers(given: Given) -> list[str]:
    """Different answers in their order, of a text, a list, or SQuAD's {"text": [...], "answer_start": [...]}."""
    value, place = given.value("answers"), given.key("answers")
    if given.value("impossible") is True:
        return []
    if isinstance(value, Mapping):
        value, place = value.get("text"), f"{place}.text"
    if value is None or isinstance(value, str):
        value = [value or ""]
    texts = []
    for number, one in enumerate(_list(value, place, "texts", empty=True)):
        at = f"{place}[{number}]"
        texts.append(_text(one.get("text"), f"{at}.text") if isinstance(one, Mapping) else _text(one, at))
    return list(dict.fromkeys(text for text in texts if text.strip().rstrip(".").lower() not in NO_ANSWER))


def _labelled(given: Given) -> Example:
    """A text, below its title where it has one, and its label, which may be about a second text."""
    title, text, label = given.optional("title"), given.text("text"), given.value("label")
    pair = {"pair": given.text("pair")} if given.key("pair") else {}
    text = f"{title}\n{text}" if title.strip() else text
    for number, one in enumerate(label if isinstance(label, list) else [label]):
        place = given.key("label") + (f"[{number}]" if isinstance(label, list) else "")
        if isinstance(one, str):
            _full(one, place)
        elif not isinstance(one, int | float) or isinstance(one, float) and not math.isfinite(one):
            raise Unfit(f"expected {place} to be a text, a number or a list of them, found {_short(one)}")
    fields = {"task": "label", "text": text} | pair | {"label": label}
    return Example("prose", "\n".join((text, *pair.values())), fields)


def _says_a_class(given: Given) -> bool:
    """Whether a label is what is to be learnt: any beside a title is only a property of a document, if it is a text."""
    label = given.value("label")
    return not (isinstance(label, str) and "title" in given.record)


def _plain(given: Given) -> Example:
    return Example("prose", _text(given.value("text"), given.key("text")), None)


def _translation(given: Given) -> Example:
    """{"translation": {"en": ..., "zh": ...}}: from the first language to the second."""
    both = given.value("translation")
    both = {key: value for key, value in both.items() if value is not None} if isinstance(both, Mapping) else both
    if not isinstance(both, dict) or len(both) != 2:
        found = f"the languages {', '.join(map(str, both))}" if isinstance(both, dict) and both else _short(both)
        raise Unfit(f"expected translation to hold two languages, found {found}")
    return _pair(*(_full(text, f"translation.{key}") for key, text in both.items()), *both)


def _parallel(given: Given) -> Example:
    languages = given.optional("source_language"), given.optional("target_language")
    pair = _pair(given.text("source"), given.text("target"), *languages)
    value, place = given.value("negatives"), given.key("negatives")
    if value is None:
        return pair
    texts = [value] if isinstance(value, str) else _list(value, place, "texts", empty=True)
    texts = [_full(text, f"{place}[{number}]") for number, text in enumerate(texts)]
    return pair._replace(text="\n".join([pair.text, *texts]), fields=pair.fields | {"negatives": texts})


def _by_language(given: Given) -> Example:
    keys = _languages(given.record)
    return _pair(*(_full(given.record[key], key) for key in keys), *keys)


def _tagged(given: Given) -> Example:
    """Words, and a tag for each of them."""
    words, tags = (_list(given.value(name), given.key(name), what) for name, what in (("tokens", "words"),
                                                                                      ("tags", "tags")))  # fmt: skip
    words = [_full(word, f"{given.key('tokens')}[{number}]") for number, word in enumerate(words)]
    if len(words) != len(tags):
        raise Unfit(f"expected as many {given.key('tags')} as {given.key('tokens')}, found {len(tags):,} and "
                    f"{len(words):,}")  # fmt: skip
    for number, tag in enumerate(tags):
        place = f"{given.key('tags')}[{number}]"
        if isinstance(tag, str):
            _full(tag, place)
        elif type(tag) is not int:
            raise Unfit(f"expected {place} to be a text or a whole number, found {_short(tag)}")
    return Example("prose", " ".join(words), {"task": "tag", "tokens": words, "tags": tags})


def _languages(record: Mapping[str, Any]) -> list[str]:
    """The keys that are codes of languages and hold a text; "id" is Indonesian only beside a single other one."""
    keys = [key for key, value in record.items() if isinstance(value, str) and _is_language(key)]
    return [key for key in keys if key != "id"] if len(keys) > 2 else keys


def _is_language(key: Any) -> bool:
    return isinstance(key, str) and bool(CODE.fullmatch(key)) and key[:2].lower() in LANGUAGES


def _pair(source: str, target: str, source_language: str, target_language: str) -> Example:
    languages = {"source_language": _code(source_language), "target_language": _code(target_language)}
    return Example("prose", f"{source}\n{target}", {"task": "pair", "source": source, "target": target} | languages)


def _code(language: str) -> str:
    """en, EN, en_GB, zh_TW -> en, en, en-GB, zh-Hant."""
    language = language.strip().replace("_", "-")
    return CHINESE.get(language.lower()) or (language.lower() if len(language) == 2 else language)


def _prepared(given: Given) -> Example:
    """What upwell itself wrote: the fields, read as the layout of their task."""
    fields = given.value("fields")
    if not isinstance(fields["task"], str) or fields["task"] not in TASKS:
        raise Unfit(f"expected fields.task to be {', '.join(TASKS)}, found {_short(fields['task'])}")
    layout = BY_NAME[TASKS[fields["task"]]]
    inner = Given(fields, layout)
    lacking = [keys[0] for name, keys in layout.needs.items() if not inner.key(name)]
    if lacking:
        raise Unfit(f"expected fields.{lacking[0]}, found the keys {', '.join(fields)}")
    return layout.read(inner)


def _articles(article: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """SQuAD's file: articles of paragraphs, each a context with its questions."""
    for number, paragraph in enumerate(article["paragraphs"]):
        at = f"{place}.paragraphs[{number}]"
        if not isinstance(paragraph, Mapping) or not isinstance(paragraph.get("qas"), list):
            yield at, paragraph
            continue
        for which, asked in enumerate(paragraph["qas"]):
            whole = {"context": paragraph.get("context")} | asked if isinstance(asked, Mapping) else asked
            yield f"{at}.qas[{which}]", whole


# ---- values ----


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise Unfit(f"expected {place} to be a text, found {_short(value)}")
    return value


def _full(value: Any, place: str) -> str:
    if not _text(value, place).strip():
        raise Unfit(f"expected {place} to hold a text, found {'only white space' if value else 'an empty one'}")
    return value


def _list(value: Any, place: str, what: str, empty: bool = False) -> list:
    if not isinstance(value, list | tuple) or not (value or empty):
        raise Unfit(f"expected {place} to be a list of {what}, found {_short(value)}")
    return list(value)


def _no_texts(**values: Any) -> str | None:
    """The fault of values that must be texts, where they are there."""
    wrong = [key for key, value in values.items() if not isinstance(value, str | None)]
    return f"expected {wrong[0]} to be a text, found {_short(values[wrong[0]])}" if wrong else None


def _no_other(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _as_text(label: Any) -> str:
    parts = label if isinstance(label, list) else [] if label is None else [label]
    return ", ".join(map(str, parts))


def _short(value: Any) -> str:
    """A value in a few words, as JSON would write it."""
    if isinstance(value, str):
        return repr(value) if len(value) <= SHORT else repr(value[:SHORT]) + "..."
    if isinstance(value, Mapping):
        keys = ", ".join(map(str, list(value)[:6]))
        return f"an object with the keys {keys}" if keys else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}" if value else "an empty list"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value)[:SHORT])


# ---- the table ----

CODE = re.compile(r"[A-Za-z]{2}(?:[-_][A-Za-z]{2,4})?")
CHINESE = {"zh-cn": "zh-Hans", "zh-sg": "zh-Hans", "zh-hans": "zh-Hans", "zh-tw": "zh-Hant", "zh-hk": "zh-Hant",
           "zh-mo": "zh-Hant", "zh-hant": "zh-Hant"}  # fmt: skip
LANGUAGES = frozenset(  # ISO 639-1
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu "
    "ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my "
    "na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn "
    "so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh "
    "zu".split()
)
SYSTEM = {"system": ("system", "system_prompt", "system_message")}
SAID = ("completion", "response", "answer", "output", "outputs", "solution", "target", "targets")
NEGATIVES = ("negatives", "negative", "neg", "hard_negative", "hard_negatives")
LAYOUTS = (
    Layout("prepared", _prepared, {"fields": ("fields",)},
           fits=lambda given: isinstance(given.value("fields"), Mapping) and "task" in given.value("fields")),
    Layout("sharegpt", _conversation, {"messages": ("conversations", "messages", *CHATS)}, SYSTEM,
           lambda given: _form(given) == "sharegpt"),
    Layout("messages", _conversation, {"messages": ("messages", "conversations", *CHATS)}, SYSTEM,
           lambda given: _form(given) == "messages"),
    Layout("turns", _alternating, {"messages": ("turns", "messages", "conversations", "data", "utterances", *CHATS)},
           SYSTEM, lambda given: _form(given) == "turns"),
    Layout("alpaca", _alpaca, {"instruction": ("instruction", "instructions"), "output": ("output", *SAID)},
           {"input": ("input", "inputs", "context"), "history": ("history",)} | SYSTEM),
    Layout("answer", _question, {"question": ("question", "query"), "context": ("context", "passage", "paragraph"),
           "answers": ("answers", "answer", "answer_text")}, {"impossible": ("is_impossible",)}),
    Layout("completion", _completion, {"prompt": ("prompt", "question", "query", "input", "inputs", "problem"),
           "completion": SAID}, SYSTEM),
    Layout("contrast", _parallel, {"source": ("anchor", "query"), "target": ("positive", "pos")},
           {"negatives": NEGATIVES}),
    Layout("tag", _tagged, {"tokens": ("tokens", "words"), "tags": ("tags", "ner_tags", "pos_tags", "upos", "labels")},
           fits=lambda given: isinstance(given.value("tokens"), list) and isinstance(given.value("tags"), list)),
    Layout("translation", _translation, {"translation": ("translation",)},
           fits=lambda given: not isinstance(given.value("translation"), str)),
    Layout("compare", _labelled, {"text": ("text", "sentence1", "premise", "question1", "question", "query"),
           "pair": ("text_pair", "sentence2", "hypothesis", "question2", "passage", "document"),
           "label": ("label", "labels", "score", "similarity")}),
    Layout("label", _labelled, {"text": ("text", "sentence", "content", "review", "comment", "tweet"),
           "label": ("label", "labels", "sentiment", "emotion", "intent", "coarse_label")},
           {"title": ("title",), "pair": ("pair",)}, _says_a_class),
    Layout("plain", _plain, {"text": ("text", "content", "raw_content")}),
    Layout("parallel", _parallel, {"source": ("source", "src", "source_text"),
           "target": ("target", "tgt", "trg", "target_text")},
           {"source_language": ("source_language", "source_lang", "src_lang"),
            "target_language": ("target_language", "target_lang", "tgt_lang", "trg_lang"), "negatives": NEGATIVES}),
    Layout("languages", _by_language, fits=lambda given: len(_languages(given.record)) == 2),
)  # fmt: skip
BY_NAME = {layout.name: layout for layout in LAYOUTS}
TASKS = {"chat": "messages", "answer": "answer", "label": "label", "pair": "parallel", "tag": "tag"}
