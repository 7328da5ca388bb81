"""Data as a person sees it before anything is trained: documents, and tokens with what is learnt of them.

    dry_run(documents, limit=10)                                  # as they are after reading and cleaning
    show("causal", documents, tokenizer, template, limit=10)      # as an objective asks for them, token by token

Everything goes to stdout. On a terminal tokens that are learnt have light backgrounds, those that are only read dark
ones, and neighbours differ, so that the borders of tokens are seen; elsewhere, and where NO_COLOR is set, brackets say
the same: [learnt] (only read) [[special]]. Spaces, tabs and line ends are made visible; control characters are not let
through. An objective joins by its function `examples` (see objectives). Stands below all rooms.
"""

import codecs
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from upwell import plugs
from upwell.errors import CheckpointError, UpwellError
from upwell.terminal import harmless
from upwell.text import Document
from upwell.text.survey import Survey

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from upwell.text.chat import Template
    from upwell.tokens.tokenizer import Tokenizer

MOST_CHARACTERS, MOST_TOKENS = 1200, 500
LEARNT = ("black on #b9f0b0", "black on #9fdcf5", "black on #e3d0fa")
READ = ("#d0d0d0 on #1c1c1c", "#d0d0d0 on #484848")
SPECIAL = {True: "bold black on #ffd75f", False: "bold #ffd75f on #1c1c1c"}
ROLES = {"assistant": "green", "user": "blue", "system": "magenta"}
SIGNS = {" ": "·", "\t": "⇥   ", "\r": "\\r", "\n": "↵\n"}
ASCII_SIGNS = {" ": "_", "\t": "\\t", "\r": "\\r", "\n": "\\n\n"}
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Piece(NamedTuple):
    """One token, or the few that make up a character together. count: how many."""

    text: str
    learnt: bool
    special: bool = False
    count: int = 1


def dry_run(documents: Iterable[Document], limit: int = 10, console: "Console | None" = None) -> int:
    """Print the first documents as they would be trained on, and what is odd about them; gives their number."""
    console = console or stdout()
    survey, shown = Survey(), []
    for document in islice(documents, limit):
        survey.see(document)
        shown.append(document)
    show_documents(shown, console)
    for note in survey.notes():
        _line(console, note, "yellow")
    if not shown:
        _line(console, "There is no document to show.", "yellow")
    return len(shown)


def show(objective: str, documents: Iterable[Document], tokenizer: "Tokenizer", template: "Template | None" = None,
         limit: int = 10, console: "Console | None" = None) -> int:  # fmt: skip
    """Print what an objective asks of the first documents, token by token; gives the number of examples.

    objective: the name of a file in objectives, or a path to one's own. Documents are taken as they are needed.
    UpwellError for an objective that is not there or shows nothing, DataError for a chat the template refuses.
    """
    room = plugs.find("objectives", objective)
    if not hasattr(room, "examples"):
        raise UpwellError(f"The objective {objective} has no function `examples`, so it has nothing to show; add one.")
    console, count = console or stdout(), 0
    written = f"chat template {template.hash[:12]}" if template else "no chat template"
    _line(console, f"objective {objective}, tokenizer {tokenizer.hash[:12]}, {written}", "bold")
    console.print(_legend(console), soft_wrap=True)
    for one in islice(room.examples(documents, tokenizer, template, room.Settings()), limit):
        count += 1
        part = f" {one.part}" if one.part else ""
        _line(console, f"\n{count}{part}  {one.source}  {len(one.ids):,} tokens, {sum(one.learnt):,} learnt", "bold")
        show_tokens(one.ids, one.learnt, tokenizer, console)
    if not count:
        _line(console, "There is no document to show.", "yellow")
    return count


def stdout() -> "Console":
    """What prints to stdout, with colours where it is a terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


# ---- documents ----


def show_documents(documents: Iterable[Document], console: "Console") -> None:
    """Print each document: where it came from, what was changed in it, and its parts by name."""
    for number, document in enumerate(documents, start=1):
        _line(console, f"{number}  {document.source}  {_described(document)}", "bold")
        changed = ", ".join(f"{reason} ({count:,})" for reason, count in document.changes)
        if changed:
            _line(console, f"   changed: {changed}", "yellow")
        parts = list(_parts(document))
        width = max(len(name) for name, _ in parts)
        for name, text in parts:
            _part(console, name, text, width)
        _line(console, "")


def _described(document: Document) -> str:
    task = document.fields["task"] if document.fields else "plain text"
    said = [task, document.kind, document.language, f"{len(document.text):,} characters"]
    return ", ".join(harmless(part) for part in said if part)


def _parts(document: Document) -> Iterator[tuple[str, str]]:
    """The parts of a document by name; those of chats are named by who speaks."""
    fields = dict(document.fields or {"title": document.title, "label": document.label, "text": document.text})
    chat, task = fields.pop("messages", []), fields.pop("task", "")
    languages = {name: fields.pop(f"{name}_language", "") for name in ("source", "target")}
    yield from ((message["role"], message["content"]) for message in chat)
    for name, value in fields.items():
        values = value if isinstance(value, list | tuple) else [value]
        if not values:
            yield name, "(none)"
        for one in values:
            if task or one:
                yield languages.get(name) or name, one if isinstance(one, str) else str(one)


def _part(console: "Console", name: str, text: str, width: int) -> None:
    """One part with a bar before each of its lines; long ones are cut."""
    from rich.text import Text

    rest = len(text) - MOST_CHARACTERS
    lines = harmless(text[:MOST_CHARACTERS].replace("\r\n", "\n")).split("\n")
    lines += [f"... and {rest:,} more characters"] if rest > 0 else []
    for number, line in enumerate(lines):
        head = harmless(name) if number == 0 else ""
        row = Text().append(f"   {head:{width}} {_sign('│', '|', console)} ", "dim")
        style = "dim" if rest > 0 and number == len(lines) - 1 else ROLES.get(name, "")
        console.print(row.append(line, style), soft_wrap=True)


# ---- tokens ----


def show_tokens(ids: Sequence[int], mask: Sequence[bool], tokenizer: "Tokenizer", console: "Console") -> None:
    """Print tokens; mask: as long as ids, True for what is learnt. After 500 the rest is counted.

    Tokens that only together make up a character are drawn as one, with their number behind it (₂); bytes that make
    up no character are drawn in hexadecimal digits.
    """
    found = pieces(ids[:MOST_TOKENS], mask[:MOST_TOKENS], tokenizer)
    drawn = _drawn(found, console)
    end = "" if drawn.plain.endswith("\n") else "\n"
    if console.is_terminal:
        console.print(drawn, overflow="fold", end=end)
    else:   # in a file a line stays a line
        console.print(drawn, soft_wrap=True, end=end)
    rest, learnt = len(ids) - MOST_TOKENS, sum(mask[MOST_TOKENS:])
    if rest > 0:
        _line(console, f"... and {rest:,} more tokens, {learnt:,} of them learnt", "dim")


def pieces(ids: Sequence[int], mask: Sequence[bool], tokenizer: "Tokenizer") -> Iterator[Piece]:
    """Tokens as text; those whose bytes are parts of one character come together."""
    names = {id: name for name, id in tokenizer.special.items()}
    held, kind = [], False
    for id, learnt in zip(ids, mask, strict=True):
        raw = b"" if id in names else bytes_of(id, tokenizer)
        if held and (id in names or learnt != kind or _unfinished(b"".join([*held, raw])) is None):
            yield from _hexadecimal(held, kind)
            held = []
        if not raw:
            yield Piece(names.get(id, f"<{id}>"), learnt, True)
            continue
        held, kind = [*held, raw], learnt
        unfinished = _unfinished(b"".join(held))
        if unfinished is None:
            yield from _hexadecimal(held, kind)
        elif not unfinished:
            yield Piece(b"".join(held).decode(), learnt, count=len(held))
        held = held if unfinished else []
    yield from _hexadecimal(held, kind)


def _unfinished(data: bytes) -> bool | None:
    """Whether bytes end within a character; None where they are no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return bool(decoder.getstate()[0])


def bytes_of(id: int, tokenizer: "Tokenizer") -> bytes:
    """The bytes of a token; of a tokenizer that has none what it decodes to."""
    try:
        return tokenizer.bytes_of(id)
    except CheckpointError:
        return tokenizer.decode([id]).encode()


def _hexadecimal(held: list[bytes], learnt: bool) -> Iterator[Piece]:
    yield from (Piece("".join(f"\\x{byte:02x}" for byte in one), learnt) for one in held)


def _drawn(found: Iterable[Piece], console: "Console") -> "Text":
    """Pieces in colours, or in brackets where there are none."""
    from rich.text import Text

    signs = SIGNS if _sign("·⇥↵₂", "", console) else ASCII_SIGNS
    coloured = console.is_terminal and console.color_system is not None and not console.no_color
    drawn = Text()
    for number, piece in enumerate(found):
        text = piece.text if piece.special else _visible(piece, signs)
        if coloured:
            drawn.append(harmless(text), _style(piece, number))
        else:
            drawn.append(_bracketed(harmless(text), piece))
    return drawn


def _style(piece: Piece, number: int) -> str:
    if piece.special:
        return SPECIAL[bool(piece.learnt)]
    colours = LEARNT if piece.learnt else READ
    return colours[number % len(colours)]


def _bracketed(text: str, piece: Piece) -> str:
    """[learnt], (only read), doubled for special tokens; line ends stand behind the bracket."""
    opening, closing = ("[", "]") if piece.learnt else ("(", ")")
    times = 2 if piece.special else 1
    return opening * times + text.replace("\n", "") + closing * times + ("\n" if "\n" in text else "")


def _visible(piece: Piece, signs: dict[str, str]) -> str:
    text = "".join(signs.get(character, character) for character in piece.text)
    count = str(piece.count).translate(LOWERED) if signs is SIGNS else f"~{piece.count}"
    return text + (count if piece.count > 1 else "")


def _legend(console: "Console") -> "Text":
    from rich.text import Text

    kinds = (("learnt", True, False), ("read", False, False), ("special, learnt", True, True),
             ("special, read", False, True))  # fmt: skip
    return Text("  ").join(_drawn([Piece(name, learnt, True) if special else Piece(name, learnt)], console)
                           for name, learnt, special in kinds)  # fmt: skip


def _sign(sign: str, plain: str, console: "Console") -> str:
    """The sign where the console's encoding has it."""
    try:
        sign.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return plain
    return sign


def _line(console: "Console", text: Any, style: str = "") -> None:
    console.print(harmless(str(text)), style=style or None, soft_wrap=True)
