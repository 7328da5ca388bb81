"""One text in, the same text without what is no writing: `clean(text) -> str`.

Takes away: control characters and terminal colours, lone surrogates and U+FFFD, invisible characters without
meaning (zero-width space, byte order mark, soft hyphen, direction overrides, tags), spaces at the ends of lines,
more than two blank lines. Brings line ends to \\n and Unicode to NFC. Keeps indentation, tabs, every letter of
every script, variation selectors, and the joiners U+200C and U+200D that Persian, Indic scripts and emoji need.
Cleaning twice is cleaning once.
"""

import re
import unicodedata

LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
COLOURS = re.compile("\x1b\\[[0-9;?]*[@-~]")
JUNK = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters beside tab and line ends
    "\u00ad\u180e\u200b\u2060-\u2064\ufeff"  # soft hyphen and zero-width signs that join nothing
    "\u202a-\u202e\u2066-\u206f"  # direction overrides and isolates
    "\ufff9-\ufffd"  # annotation signs, replacement characters
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # lone surrogates, noncharacters
    "]+"
)
# Tags are invisible; the flags of England, Scotland and Wales are spelled with them after a black flag.
TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007f]+)|[\U000e0000-\U000e007f]+")
SPACES_AT_END = re.compile("[ \t\xa0\u3000]+$", re.MULTILINE)
BLANK_LINES = re.compile("\n{4,}")


def clean(text: str) -> str:
    """The text without what is no writing, in NFC, with \\n line ends; "" where nothing is left."""
    text = LINE_ENDS.sub("\n", text)
    text = COLOURS.sub("", text)
    text = JUNK.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", TAGS.sub(r"\1", text))
    text = SPACES_AT_END.sub("", text)
    return BLANK_LINES.sub("\n\n\n", text).strip("\n")
