"""Files that are zip archives of texts: read with limits, written again entry by entry. What is not changed stays."""

import io
import zipfile
from collections.abc import Callable
from xml.parsers import expat

from ...text.encodings import Unreadable
from ...text.packed import BROKEN, Limits, zip_part
from .. import Opened, Parts

MOST = 2_000_000_000
RATIO = 200
LOCKED = b"\xd0\xcf\x11\xe0"  # the older container, in which Word keeps what a password protects


def entries(data: bytes, wanted: Callable[[list[str]], list[str]], what: str) -> dict[str, bytes]:
    """Name -> content of those entries that are wanted of all names. Unreadable for what is no such file."""
    if data.startswith(LOCKED):
        raise Unreadable(f"encrypted or of an older kind, expected {what} without a password; save it as one")
    limits = Limits(MOST, RATIO)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) != len(set(names)):
                raise Unreadable("a zip file with one name twice; nobody can say which of the two is meant")
            bearable(archive.infolist(), limits)
            return {name: zip_part(archive, name, limits).read() for name in wanted(names)}
    except BROKEN as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"expected {what}, found a zip file that is broken or none ({str(error)[:80]})") from None


def bearable(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Unreadable for an archive that unpacks to too much; no entry gives more than it says."""
    for member in members:
        limits.compare(member.compress_size, member.file_size)
    size = sum(member.file_size for member in members)
    if size > MOST:
        raise Unreadable(f"unpacks to {size:,} bytes, expected at most {MOST:,}; divide it")


def checked(content: bytes, name: str) -> str:
    """The XML of an entry as text. Unreadable where it is broken or declares entities."""
    parser = expat.ParserCreate()

    def refuse(*details) -> None:
        raise Unreadable(f"{name} declares entities, expected none; they can fill the memory or fetch files")

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return content.decode("utf-8-sig")
    except expat.ExpatError as error:
        raise Unreadable(f"{name} is no sound XML (line {error.lineno})") from None
    except (UnicodeDecodeError, ValueError, LookupError):
        raise Unreadable(f"{name} is not in UTF-8, expected it as the format says") from None


def together(data: bytes, members: dict[str, Opened]) -> Opened:
    """One file of its members' segments."""
    segments = [segment for one in members.values() for segment in one.segments]

    def write(written: list[Parts]) -> bytes:
        changed, at = {}, 0
        for name, one in members.items():
            mine = written[at : at + len(one.segments)]
            at += len(one.segments)
            if mine != [segment.parts for segment in one.segments]:
                changed[name] = one.write(mine)
        return rewritten(data, changed) if changed else data

    return Opened(segments, write)


def rewritten(data: bytes, changed: dict[str, bytes]) -> bytes:
    """The archive with other contents under these names; order, dates and ways of packing stay."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for entry in before.infolist():
            content = changed.get(entry.filename)
            after.writestr(entry, before.read(entry) if content is None else content, entry.compress_type)
    return out.getvalue()
