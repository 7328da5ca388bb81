"""What somebody types, turn by turn: a line, several lines, or a command; from a terminal or a pipe.

    lines = at_terminal(words) or in_pipe(sys.stdin.buffer)
    turn = next_turn(lines)         # Turn(text, command), None at the end

A line that ends in a backslash goes on in the next one. A line that begins with three quotation marks opens a block,
which ends with three more. A turn that begins with a slash is a command, but in a block.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from upwell.errors import DataError

FIRST, MORE = "> ", ". "
QUOTES = '"""'
Lines = Callable[[str], str | None]     # a prompt -> the next line without its end, None where there is no more


@dataclass(frozen=True)
class Turn:
    """One thing that was said."""

    text: str
    command: bool = False


def next_turn(lines: Lines) -> Turn | None:
    """What is said next; an empty line is a turn with an empty text. DataError for a block without an end."""
    line = lines(FIRST)
    if line is None:
        return None
    if line.lstrip().startswith(QUOTES):
        return Turn(_block(line.lstrip().removeprefix(QUOTES), lines))
    parts = [line]
    while parts[-1].endswith("\\") and (more := lines(MORE)) is not None:
        parts[-1] = parts[-1][:-1]
        parts.append(more)
    text = "\n".join(parts).strip()
    return Turn(text, text.startswith("/"))


def _block(first: str, lines: Lines) -> str:
    parts = [first]
    while not parts[-1].rstrip().endswith(QUOTES):
        line = lines(MORE)
        if line is None:
            raise DataError(f"found the end of what was typed inside of a block, expected {QUOTES} behind it")
        parts.append(line)
    parts[-1] = parts[-1].rstrip().removesuffix(QUOTES)
    return "\n".join(parts).strip("\n")


def in_pipe(stream: BinaryIO) -> Lines:
    """Lines as they come. DataError names one that is no UTF-8."""
    numbers = iter(range(1, sys.maxsize))

    def line(prompt: str) -> str | None:
        raw, number = stream.readline(), next(numbers)
        try:
            return raw.decode("utf-8").removesuffix("\n").removesuffix("\r") if raw else None
        except UnicodeDecodeError as error:
            fault = f"standard input:{number}: byte {error.start} is no UTF-8; convert the text first"
            raise DataError(fault) from None

    return line


def at_terminal(words: Sequence[str]) -> Lines:
    """Lines with a prompt; where Python has readline they can be edited and called back, and Tab completes `words`."""
    try:
        import readline
    except ImportError:  # Windows, whose console edits lines itself
        pass
    else:
        def complete(begun: str, number: int) -> str | None:
            found = [word for word in words if begun and word.startswith(begun)]
            return found[number] if number < len(found) else None

        readline.set_completer(complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")

    def line(prompt: str) -> str | None:
        try:
            return input(prompt)
        except EOFError:
            print(flush=True)
            return None

    return line
