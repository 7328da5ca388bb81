r"""LaTeX: paragraphs, headings, captions, items and notes. Mathematics, citations, labels, references, code, comments
and everything in front of \begin{document} but the title stay; \textbf, \emph and the like go along with their words.
"""

import re

from .. import Code, Opened, merged
from ._laid import Laid, decoded

SUFFIXES = (".tex", ".ltx", ".latex")
MATHS = ("equation align gather multline eqnarray math displaymath alignat flalign verbatim lstlisting minted "
         "tikzpicture algorithm algorithmic thebibliography filecontents comment array Verbatim").split()  # fmt: skip
TOKEN = re.compile(
    r"(?P<comment>(?<!\\)%[^\n]*)"
    rf"|(?P<whole>\\begin\{{(?P<name>(?:{'|'.join(MATHS)})\*?)\}}.*?\\end\{{(?P=name)\}})"
    r"|(?P<maths>\$\$.*?(?<!\\)\$\$|(?<!\\)\$(?:\\.|[^$\\])*\$|\\\(.*?\\\)|\\\[.*?\\\])"
    r"|(?P<verb>\\verb\*?(?P<mark>[^\w\s*]).*?(?P=mark))"
    r"|(?P<edge>\\(?:begin|end)\{[A-Za-z*]{1,40}\}(?:\[[^\]\n]*\])*(?:\{[^{}\n]*\})*)"
    r"|(?P<block>\\(?:part|chapter|(?:sub){0,2}section|(?:sub)?paragraph|title|subtitle|caption|frametitle)\*?(?:\[[^\]]*\])?\{)"
    r"|(?P<item>\\item(?:\[[^\]]*\])?)"
    r"|(?P<note>\\footnote(?:\[\d*\])?\{)"
    r"|(?P<inline>\\(?:textbf|textit|texttt|textsc|textsf|textrm|textsl|emph|underline|uline|text|enquote|href\{[^{}]*\})\{)"
    r"|(?P<dead>\\(?:cite\w*|ref|eqref|autoref|cref|Cref|pageref|nameref|label|url|bibliography\w*|input|include\w*"
    r"|usepackage|documentclass|newcommand|renewcommand|vspace|hspace|index|hypersetup|date|author|maketitle)\*?"
    r"(?:\[[^\]]*\])*(?:\{(?:[^{}]|\{[^{}]*\})*\})*)"
    r"|(?P<break>(?:\r?\n[ \t]*){2,}|\\\\(?:\[[^\]]*\])?|&)"
    r"|(?P<command>\\(?:[A-Za-z]+\*?|.)(?:\[[^\]\n]*\])?[ \t]?)"
    r"|(?P<blank>~)|(?P<open>\{)|(?P<close>\})",
    re.DOTALL,
)
LITERAL = {"~": "\u00a0", "\\%": "%", "\\&": "&", "\\$": "$", "\\#": "#", "\\_": "_", "\\{": "{", "\\}": "}"}
ESCAPED = {sign: name for name, sign in LITERAL.items()} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}",
                                                            "^": r"\textasciicircum{}"}  # fmt: skip
SIGNS = re.compile("[%&$#_{}\\\\~^\u00a0]")


def read(data: bytes, name: str) -> Opened:
    text, encoding = decoded(data)
    laid = Laid(escape=escaped)
    begin = text.find(r"\begin{document}")
    _Cutter(laid, name, text, max(begin, 0)).run()
    return laid.opened(encoding)


def escaped(words: str) -> str:
    """Words as LaTeX writes them."""
    return SIGNS.sub(lambda sign: ESCAPED[sign.group()], words)


class _Cutter:
    """Goes through the tokens and gathers the parts of a paragraph until it ends."""

    def __init__(self, laid: Laid, name: str, text: str, document: int):
        self.laid, self.name, self.text, self.document = laid, name, text, document
        self.parts: list = []
        self.begin = self.number = 0
        self.stack: list[tuple[str, int]] = []  # what closes at the next brace: inline, group, block, note
        self.outside: list[tuple[list, str, int]] = []  # of each open note: parts around it, its head, where it begins
        self.held: list[tuple[int, int, str]] = []  # begin, end of each note of this paragraph, what takes its place

    def run(self) -> None:
        at = 0
        for token in TOKEN.finditer(self.text):
            if token.start() < at:
                continue
            self.words(self.text[at : token.start()], token.start())
            self.take(token.lastgroup if token.lastgroup not in ("name", "mark") else self.kind(token), token)
            at = token.end()
        self.words(self.text[at:], len(self.text))
        self.flush(len(self.text), len(self.text))

    def kind(self, token: re.Match) -> str:
        return "whole" if token["whole"] else "verb"

    def words(self, raw: str, end: int) -> None:
        if not raw:
            return
        if self.translated(end - 1):
            self.parts.append(raw)
        else:
            self.flush(end, end)

    def translated(self, at: int) -> bool:
        """Whether words at a place are text: behind the beginning of the document, or a title's."""
        return at >= self.document or any(kind == "block" for kind, _ in self.stack)

    def alone(self, raw: str) -> None:
        self.number += 1
        self.parts.append(Code("alone", self.number, raw))

    def take(self, kind: str, token: re.Match) -> None:
        raw, begin, end = token.group(), token.start(), token.end()
        if kind in ("edge", "item", "break", "block") or kind == "comment" and self.at_line_begin(begin):
            self.flush(begin, end)
            if kind == "block":
                self.stack.append(("block", 0))
        elif kind == "note" and self.translated(begin):
            self.outside.append((self.parts, raw, end))
            self.stack.append(("note", 0))
            self.parts = []
        elif kind in ("inline", "note", "open"):
            self.number += 1
            if kind == "open" or not self.translated(begin):
                self.stack.append(("group", 0))
                self.alone(raw)
            else:
                self.stack.append(("inline", self.number))
                self.parts.append(Code("open", self.number, raw))
        elif kind == "close":
            closes, number = self.stack.pop() if self.stack else ("group", 0)
            if closes == "block":
                self.stack.append((closes, number))  # what is gathered still belongs to it
                self.flush(begin, end)
                self.stack.pop()
            elif closes == "inline":
                self.parts.append(Code("close", number, raw))
            elif closes == "note":
                self.note(begin)
            else:
                self.alone(raw)
        elif raw.rstrip(" \t") in LITERAL and self.translated(begin):
            words = raw.rstrip(" \t")
            self.parts.append(LITERAL[words] + raw[len(words) :])
        elif kind == "dead" and not self.parts:
            self.flush(begin, end)
        else:
            self.alone(raw)

    def note(self, end: int) -> None:
        """A note is over: a segment by itself, of which the paragraph sees a thing."""
        inner, (self.parts, head, begin) = self.parts, self.outside.pop()
        raw = self.raw(begin, end)
        marker = self.laid.hold(_stripped(_lines(inner)), raw, f"{self.name}:{self.line(begin)}")
        self.held = [one for one in self.held if one[0] < begin]
        self.held.append((begin, end, marker))
        self.alone(f"{head}{marker}}}")

    def raw(self, begin: int, end: int) -> str:
        """A piece of the file, with what takes the place of the notes in it."""
        found, at = "", begin
        for first, last, marker in self.held:
            if first >= begin and last <= end:
                found += self.text[at:first] + marker
                at = last
        return found + self.text[at:end]

    def line(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def at_line_begin(self, at: int) -> bool:
        return not self.text[self.text.rfind("\n", 0, at) + 1 : at].strip()

    def flush(self, end: int, beyond: int) -> None:
        """The paragraph is over at `end`; what stands up to `beyond` stays."""
        while self.outside:  # a paragraph that ends within a note: its parts are gathered as they come
            before, head, _ = self.outside.pop()
            self.number += 1
            self.parts = [*before, Code("alone", self.number, head), *self.parts]
            self.stack = [("group", 0) if one[0] == "note" else one for one in self.stack]
        raw, parts = self.raw(self.begin, end), _lines(self.parts)
        self.parts, self.held = [], []
        self.stack = [one for one in self.stack if one[0] != "inline"] if parts else self.stack
        if parts and self.translated(max(end - 1, 0)):
            begin = len(raw) - len(raw.lstrip()) if isinstance(parts[0], str) else 0
            stop = len(raw.rstrip()) if isinstance(parts[-1], str) else len(raw)
            begin = min(begin, stop)
            parts = _stripped(parts)
            self.laid.keep(raw[:begin])
            self.laid.take(parts, raw[begin:stop], f"{self.name}:{self.line(self.begin)}")
            self.laid.keep(raw[stop:])
        else:
            self.laid.keep(raw)
        self.laid.keep(self.text[end:beyond])
        self.begin = beyond


def _lines(parts: list) -> tuple:
    """Lines of one paragraph as one text."""
    return merged([re.sub(r"[ \t]*\r?\n[ \t]*", " ", part) if isinstance(part, str) else part for part in parts])


def _stripped(parts: tuple) -> tuple:
    found = list(parts)
    if found and isinstance(found[0], str):
        found[0] = found[0].lstrip()
    if found and isinstance(found[-1], str):
        found[-1] = found[-1].rstrip()
    return tuple(part for part in found if part != "")
