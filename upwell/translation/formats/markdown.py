"""Markdown: headings, paragraphs, lists, quotations and tables. Code, mathematics, addresses, HTML and what stands in
front of the text (YAML between three dashes) stay; emphasis and links go along with their words.
"""

import re

from .. import Code, Opened, Parts, merged
from ._laid import Laid, decoded

SUFFIXES = (".md", ".markdown", ".mkd", ".rmd", ".qmd")
FENCE = re.compile(r"^([ >]*(?:[-*+]|\d+[.)])?[ >]*)(`{3,}|~{3,})")
FRONT = re.compile(r"\A---[ \t]*\r?\n.*?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
PREFIX = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)]|#{1,6}|\[[ xX]\]|\[\^[^\]\n]{1,60}\]:|:)(?:[ \t]+|$))*")
RULE = re.compile(
    r"^[ >]*(?:(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|(?:\*[ \t]*){3,}|=+[ \t]*|-+[ \t]*|\|?[ \t:|+-]*-[ \t:|+-]*)$"
)
REFERENCE = re.compile(r"^[ >]*\[[^\]\n^]{1,200}\]:[ \t]")
HTML = re.compile(r"^[ \t]*</?[A-Za-z!?][^\n]*$")
INLINE = re.compile(
    r"(?P<alone>\\[!-/:-@\[-`{-~]|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|\$\$[^$]+\$\$|\$(?=\S)[^$\n]*?\S?\$(?!\d)"
    r"|!\[[^\]\n]*\]\([^)\n]*\)|!\[[^\]\n]*\]\[[^\]\n]*\]|\[\^[^\]\n]{1,60}\]|<[A-Za-z/!][^<>\n]*>|&[#\w]{1,12};"
    r"|[ \t]*(?:\\|[ ]{2,})\r?\n[ \t]*)"
    r"|(?P<link>\[)|(?P<end>\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\]\n]*\])?)"
    r"|(?P<mark>\*{1,3}|(?<![^\W_])_{1,3}(?=\S)|(?<=\S)_{1,3}(?![^\W_])|~~)",
    re.DOTALL,
)


def read(data: bytes, name: str) -> Opened:
    text, encoding = decoded(data)
    laid = Laid(joined=_joined)
    front = FRONT.match(text)
    begin = front.end() if front else 0
    laid.keep(text[:begin])
    _blocks(laid, text[begin:].splitlines(keepends=True), name, text.count("\n", 0, begin) + 1)
    return laid.opened(encoding)


def _blocks(laid: Laid, lines: list[str], name: str, first: int) -> None:
    at = 0
    while at < len(lines):
        line = lines[at]
        bare = line.rstrip("\r\n")
        fence = FENCE.match(bare)
        if fence:
            end = at + 1
            while end < len(lines) and not re.match(rf"^[ >]*{re.escape(fence[2])}+[ \t]*$", lines[end].rstrip("\r\n")):
                end += 1
            end = min(len(lines), end + 1)
            laid.keep("".join(lines[at:end]))
        elif not bare.strip() or RULE.match(bare) or REFERENCE.match(bare) or _is_code(lines, at):
            end = at + 1
            laid.keep(line)
        elif HTML.match(bare):
            end = at + 1
            while end < len(lines) and lines[end].strip():
                end += 1
            laid.keep("".join(lines[at:end]))
        elif _is_table(lines, at):
            end = at + 1
            _row(laid, line, f"{name}:{first + at}")
        else:
            end = at + 1
            heading = PREFIX.match(bare).group().rstrip().endswith("#")
            while end < len(lines) and not heading and _goes_on(lines, end):
                end += 1
            _paragraph(laid, lines[at:end], f"{name}:{first + at}")
        at = end


def _is_code(lines: list[str], at: int) -> bool:
    """An indented block behind an empty line."""
    return bool(re.match(r"^(?: {4}|\t)[ \t]*(?![-*+\d\s>])", lines[at])) and (at == 0 or not lines[at - 1].strip())


def _is_table(lines: list[str], at: int) -> bool:
    def ruled(number: int) -> bool:
        return (
            0 <= number < len(lines)
            and "|" in lines[number]
            and bool(re.match(r"^[ \t:|+-]*-[ \t:|+-]*$", lines[number].rstrip("\r\n")))
        )

    if "|" not in lines[at]:
        return False
    if ruled(at + 1):
        return True
    above = at - 1
    while above >= 0 and "|" in lines[above] and lines[above].strip():
        if ruled(above):
            return True
        above -= 1
    return False


def _goes_on(lines: list[str], at: int) -> bool:
    """Whether a line belongs to the paragraph before it."""
    bare = lines[at].rstrip("\r\n")
    if not bare.strip() or RULE.match(bare) or FENCE.match(bare) or HTML.match(bare) or _is_table(lines, at):
        return False
    marks = PREFIX.match(bare).group().replace(" ", "").replace("\t", "").replace(">", "")
    return not marks


def _row(laid: Laid, line: str, place: str) -> None:
    """The cells of a table."""
    bare = line.rstrip("\r\n")
    at = 0
    for cell in re.finditer(r"(?:\\.|`[^`\n]*`|[^|\\`]|\\|`)+", bare):
        words = cell.group().strip()
        begin = cell.start() + cell.group().find(words)
        laid.keep(bare[at:begin])
        laid.take(_parts(words), words, place)
        at = begin + len(words)
    laid.keep(bare[at:] + line[len(bare) :])


def _paragraph(laid: Laid, lines: list[str], place: str) -> None:
    prefix = PREFIX.match(lines[0]).group()
    last = lines[-1].rstrip("\r\n")
    ending = lines[-1][len(last) :]
    closing = re.search(r"[ \t]+#+[ \t]*$", last) if "#" in prefix else None
    tail = (closing.group() if closing else re.search(r"[ \t]*$", last).group()) + ending
    raw = "".join(lines)
    raw = raw[len(prefix) : len(raw) - len(tail)]
    words = lines[0][len(prefix) :] + "".join(re.sub(r"^[ \t>]*", "", line) if not _breaks(before) else line
                                              for before, line in zip(lines, lines[1:], strict=False))  # fmt: skip
    words = words[: len(words) - len(tail)] if tail else words
    laid.keep(prefix)
    laid.take(_parts(words), raw, place)
    laid.keep(tail)


def _breaks(line: str) -> bool:
    """Whether a line ends with a break that stays."""
    bare = line.rstrip("\r\n")
    return bare.endswith("  ") or bare.endswith("\\")


def _parts(words: str) -> Parts:
    """The text of a block with its codes; lines of one paragraph are one text."""
    parts: list = []
    stack: list[tuple[str, int, int]] = []  # mark, number, where in parts
    number, at = 0, 0
    for found in INLINE.finditer(words):
        parts.append(words[at : found.start()])
        at, raw = found.end(), found.group()
        number += 1
        if found["alone"]:
            parts.append(Code("alone", number, raw))
        elif found["link"]:
            stack.append(("[", number, len(parts)))
            parts.append(Code("open", number, raw))
        else:
            mark = "[" if found["end"] else raw
            top = next((n for n in range(len(stack) - 1, -1, -1) if stack[n][0] == mark), None)
            if top is not None and (mark == "[" or words[found.start() - 1 : found.start()].strip()):
                for _, _, place in stack[top + 1 :]:
                    parts[place] = parts[place].raw
                parts.append(Code("close", stack[top][1], raw))
                del stack[top:]
            elif mark != "[" and words[at : at + 1].strip():
                stack.append((mark, number, len(parts)))
                parts.append(Code("open", number, raw))
            else:
                parts.append(raw)
    for _, _, place in stack:
        parts[place] = parts[place].raw
    parts.append(words[at:])
    found = [re.sub(r"[ \t]*\r?\n[ \t]*", " ", part) if isinstance(part, str) else part for part in parts]
    return merged(found)


def _joined(parts: Parts) -> str:
    """As it is written: a line that would begin a list or a heading by chance is kept from it."""
    text = "".join(part if isinstance(part, str) else part.raw for part in parts)
    return re.sub(r"^(#|[-+*>](?=\s)|\d+(?=[.)]\s))", r"\\\1", text)
