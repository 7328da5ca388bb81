"""Bytes in, text out: `blocks(file)` and `whole(file)`, with the encoding that was named or found.

A byte order mark decides, then UTF-16 without one (its zero bytes all stand on one side), then UTF-8 where all of
it is, else the likeliest encoding of the lines that are not plain ASCII. What is no text, or is in two encodings,
raises Unreadable, which names the line. Line ends come out as \\n. Knows no format and no document.
"""

import codecs
import io
import itertools
import unicodedata
from collections.abc import Iterator
from typing import BinaryIO

from upwell.errors import DataError

HEAD, BLOCK = 1 << 20, 8 << 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
USUAL = (
    "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1250", "cp1251", "koi8_r", "cp1252", "cp1253", "cp1254",
    "cp1255", "cp1256", "cp1257", "cp1258",
)  # fmt: skip
EUROPEAN = ("cp1250", "cp1252", "cp1254", "cp1257", "cp1258")
WESTERN = "àáâãäåæçèéêëìíîïñòóôõöøùúûüßœÿ¿¡«»°“”‘’„–—…€£§©·\xa0"
CONTROLS = bytes({*range(32)} - {8, 9, 10, 11, 12, 13, 26, 27})  # beside tab, line ends, backspace and escape
MOST_CONTROLS = 0.01
UTF8 = ("utf-8", "utf-8-sig")
ADVICE = "save it as UTF-8 or name its --encoding"
NO_TEXT = (b"{\\rtf", b"%!PS")  # nothing but ASCII, and yet not what a reader sees
CERTAIN = 100  # so many bytes beyond ASCII tell an encoding without doubt
MIXED_SHARE, MIXED_CHARACTERS = 0.1, 3  # so much of it must be UTF-8 before chance is ruled out


class Unreadable(Exception):
    """Why a file, or its line `line` (0: no one line), is no text; becomes a Fault where the place is known."""

    def __init__(self, message: str, line: int = 0):
        super().__init__(message)
        self.line = line


def check_name(encoding: str | None) -> None:
    """Raises DataError for the name of an encoding that Python does not know."""
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise DataError(f"{encoding} is no encoding that Python knows; name one as utf-8 or gb18030.") from None


def whole(file: BinaryIO, given: str, longest: int) -> tuple[str, str]:
    """(text, encoding) of a file of at most `longest` bytes. Raises Unreadable."""
    return decoded(all_of(file, longest), given)


def all_of(file: BinaryIO, longest: int) -> bytes:
    """The bytes of a file that is read in one piece. Raises Unreadable where there are more than `longest`."""
    data = file.read(longest + 1)
    if len(data) > longest:
        raise Unreadable(f"more than {longest:,} bytes, and this format is read in one piece; divide it or raise "
                         "--reading.longest")  # fmt: skip
    return data


def decoded(data: bytes, given: str = "") -> tuple[str, str]:
    """(text, encoding) of a whole text. Raises Unreadable."""
    found = list(blocks(io.BytesIO(data), given))
    return "".join(text for text, _ in found), found[-1][1] if found else given or "utf-8"


def blocks(file: BinaryIO, given: str = "", line: int = 1, likely: str = "") -> Iterator[tuple[str, str]]:
    """(text, encoding) of about 8 MB each; the encoding may show itself only in a later block.

    given: the encoding, said by the user; line: the number of the first; likely: what the rest of the file is in
    where this part of it is no UTF-8. Raises Unreadable.
    """
    data = _block(file)
    sure = given or marked(data[:HEAD])
    encoding, telling = sure or "utf-8", False
    decoder = _decoder(encoding)
    while data:
        following = _block(file)
        try:
            text = decoder.decode(_checked(data, encoding, line), final=not following)
        except UnicodeDecodeError as error:
            if sure:
                at = line + data.count(b"\n", 0, error.start) if encoding in UTF8 else 0
                raise Unreadable(f"begins like {encoding} but is not ({error.reason}); {ADVICE}", at) from None
            data = decoder.getstate()[0] + data
            sure = encoding = _other(data, line, telling, likely)
            decoder = _decoder(encoding)
            text = _sure_text(decoder, data, not following, encoding)
        yield text, encoding
        telling = telling or not text.isascii()
        line += data.count(b"\n")
        data = following


def as_utf8(file: BinaryIO, given: str = "") -> tuple[BinaryIO, list[str]]:
    """The same text as a stream of UTF-8, and a list that holds its encoding once something was read."""
    stream = _Recoded(file, given)
    return io.BufferedReader(stream, HEAD), stream.encoding


def marked(head: bytes) -> str:
    """The encoding that the first bytes show beyond doubt: a byte order mark, or UTF-16 without one; else ""."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    return _without_mark(head) if b"\0" in head else ""


def detected(head: bytes) -> str:
    """The encoding of a stream whose lines are faults of their own, by its beginning; "" for UTF-8 and in doubt."""
    found = marked(head)
    if found or _is_utf8(head):
        return found
    lines = [line for line in head.splitlines()[:-1] if not line.isascii()]
    if sum(map(_high, lines)) < CERTAIN or _mixed(lines) or any(map(_is_utf8, lines)):
        return ""
    try:
        return guessed(lines)
    except Unreadable:
        return ""


class _Recoded(io.RawIOBase):
    def __init__(self, file: BinaryIO, given: str):
        self.blocks, self.rest, self.place, self.encoding = blocks(file, given), b"", 0, []

    def readable(self) -> bool:
        return True

    def readinto(self, target) -> int:
        while self.place >= len(self.rest):
            found = next(self.blocks, None)
            if found is None:
                return 0
            self.rest, self.place, self.encoding[:] = found[0].encode("utf-8", "surrogatepass"), 0, [found[1]]
        part = self.rest[self.place : self.place + len(target)]
        target[: len(part)] = part
        self.place += len(part)
        return len(part)


def _block(file: BinaryIO) -> bytes:
    data = file.read(BLOCK)
    return data + file.readline(BLOCK) if len(data) == BLOCK and not data.endswith(b"\n") else data


def _decoder(encoding: str) -> io.IncrementalNewlineDecoder:
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)


def _checked(data: bytes, encoding: str, line: int) -> bytes:
    """The data, where it has no sign of being binary."""
    if encoding.startswith(("utf-16", "utf-32")):
        return data
    head = data[:HEAD]
    if head.startswith(NO_TEXT):
        raise Unreadable("found RTF or PostScript, expected text; save it as text, DOCX or PDF first")
    if len(head) - len(head.translate(None, CONTROLS)) > MOST_CONTROLS * len(head):
        raise Unreadable("a binary file, expected text; take it out, or turn it into text first")
    at = data.find(b"\0")
    if at >= 0:
        line += data.count(b"\n", 0, at)
        raise Unreadable("found a NUL byte, expected text; take it out, or turn the file into text first", line)
    return data


def _without_mark(head: bytes) -> str:
    """UTF-16 without a byte order mark: zero bytes on one side only, and characters that people write."""
    even, odd = head[: len(head) & ~1][::2], head[1::2]
    for other, zeros, name in ((even, odd, "utf-16-le"), (odd, even, "utf-16-be")):
        if zeros.count(0) > 20 * other.count(0):
            sample = head[:20_000]
            text = sample[: len(sample) & ~1].decode(name, errors="replace")
            odd_ones = sum(unicodedata.category(sign) in ("Cc", "Cn", "Co", "Cs") for sign in text)
            if odd_ones - sum(map(text.count, "\t\n\r\f")) <= MOST_CONTROLS * len(text) and "\ufffd" not in text[:-1]:
                return name
    return ""


def _other(data: bytes, line: int, telling: bool, likely: str) -> str:
    """The encoding of a block that is not UTF-8, which begins at line `line` of its file."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = error.start
    lines = data[max(0, start - HEAD // 2) : start + HEAD // 2].splitlines()
    lines = [one for one in (lines[1:-1] or lines if len(data) > HEAD else lines) if not one.isascii()]
    if telling or _mixed(lines):
        place = line + data.count(b"\n", 0, start)
        raise Unreadable(f"mixed encodings: found byte 0x{data[start]:02x}, expected UTF-8 as in other lines; {ADVICE}",
                         place)  # fmt: skip
    return likely or guessed(lines)


def _sure_text(decoder, data: bytes, final: bool, encoding: str) -> str:
    try:
        return decoder.decode(data, final=final)
    except UnicodeDecodeError as error:
        raise Unreadable(f"begins like {encoding} but is not ({error.reason}); {ADVICE}") from None


def _mixed(lines: list[bytes]) -> bool:
    """Whether some of these lines, which are not ASCII, are UTF-8 beyond chance."""
    valid = [line for line in lines if _is_utf8(line)]
    signs = {sign for line in valid for sign in line.decode("utf-8") if not sign.isascii()}
    return len(signs) >= MIXED_CHARACTERS and sum(map(_high, valid)) >= MIXED_SHARE * sum(map(_high, lines))


def _high(line: bytes) -> int:
    return len(line) - len(line.translate(None, bytes(range(128, 256))))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def guessed(lines: list[bytes]) -> str:
    """The likeliest encoding of lines that are not ASCII: only they tell anything. Raises Unreadable."""
    import charset_normalizer

    telling = b"\n".join(_first_bytes(lines, 20_000))
    best = charset_normalizer.from_bytes(telling, cp_isolation=list(USUAL)).best()
    if best is None:
        raise Unreadable(f"neither UTF-8 nor any encoding that can be told from its bytes; {ADVICE}")
    # Western and Central European letters share their bytes; western ones throughout are hardly chance;
    # the odd foreign name is allowed.
    if best.encoding in EUROPEAN and _western(telling):
        return "cp1252"
    return best.encoding


def _first_bytes(lines: list[bytes], size: int) -> list[bytes]:
    """Whole lines, at least one, of about `size` bytes together."""
    ends = itertools.accumulate(map(len, lines))
    return [line for line, end in zip(lines, ends, strict=True) if end - len(line) < size]


def _western(block: bytes) -> bool:
    try:
        text = block.decode("cp1252")
    except UnicodeDecodeError:
        return False
    telling = [character.lower() in WESTERN for character in text if not character.isascii()]
    return sum(telling) >= 0.95 * len(telling)
