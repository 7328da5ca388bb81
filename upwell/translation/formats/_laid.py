"""A text file as what stays and what is translated: what the formats share."""

from collections.abc import Callable

from ...text.encodings import Unreadable
from .. import Opened, Parts, Segment

LONGEST = 100_000_000


def decoded(data: bytes) -> tuple[str, str]:
    """A file's text and its encoding. Unreadable for one that is not UTF-8 and does not say what else it is."""
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = next((one for mark, one in marks.items() if data.startswith(mark)), "utf-8")
    if len(data) > LONGEST:
        raise Unreadable(f"a file of {len(data):,} bytes, expected at most {LONGEST:,}; divide it")
    try:
        text = data.decode(encoding)
        if "\0" in text:
            raise Unreadable("a NUL within the text, expected a text file")
        return text, encoding
    except UnicodeDecodeError as error:
        raise Unreadable(f"byte {error.start:,} is no UTF-8; convert the file to UTF-8 first") from None


class Laid:
    """Collects a text file from its beginning to its end: `keep` what stays, `take` what is translated."""

    def __init__(self, escape: Callable[[str], str] = str, joined: Callable[[Parts], str] | None = None):
        self.escape = escape
        self.joined = joined or (lambda parts: "".join(escape(part) if isinstance(part, str) else part.raw
                                                       for part in parts))  # fmt: skip
        self.between, self.raws, self.segments, self.ways = [[]], [], [], []
        self.inner: list[tuple[Segment, str, Callable[[Parts], str]]] = []

    def keep(self, text: str) -> None:
        """Stays as it is."""
        self.between[-1].append(text)

    def take(self, parts: Parts, raw: str, place: str = "", known: str | None = None,
             joined: Callable[[Parts], str] | None = None) -> None:  # fmt: skip
        """A segment that stands in the file as `raw`; without words it stays. joined: how this one is written."""
        if known is None and not any(isinstance(part, str) and any(map(str.isalpha, part)) for part in parts):
            self.keep(raw)
            return
        self.segments.append(Segment(parts, place, known))
        self.raws.append(raw)
        self.ways.append(joined or self.joined)
        self.between.append([])

    def hold(self, parts: Parts, raw: str, place: str = "", joined: Callable[[Parts], str] | None = None) -> str:
        """A segment that stands within another one, such as a note: what takes its place there, until `text`."""
        if not any(isinstance(part, str) and any(map(str.isalpha, part)) for part in parts):
            return raw
        self.inner.append((Segment(parts, place), raw, joined or self.joined))
        return f"\0{len(self.inner) - 1}\0"

    def text(self, written: list[Parts]) -> str:
        """The file with these parts."""
        count = len(self.segments)
        found = ["".join(self.between[0])]
        each = zip(self.segments, self.raws, self.ways, written[:count], self.between[1:], strict=True)
        for segment, raw, joined, parts, behind in each:
            found += (raw if parts == segment.parts else joined(parts), "".join(behind))
        whole = "".join(found)
        inner = list(zip(self.inner, written[count:], strict=True))
        for number in reversed(range(len(inner))):  # those within others were held first
            (segment, raw, joined), parts = inner[number]
            whole = whole.replace(f"\0{number}\0", raw if parts == segment.parts else joined(parts))
        return whole

    def opened(self, encoding: str = "utf-8") -> Opened:
        """As a format gives it."""
        segments = [*self.segments, *(segment for segment, _, _ in self.inner)]
        return Opened(segments, lambda written: self.text(written).encode(encoding))
