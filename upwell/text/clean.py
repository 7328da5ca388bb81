"""One text in, the same text without what is no writing: `clean(text) -> str`.

Takes away: control characters and terminal colours, lone surrogates and U+FFFD, invisible characters without
meaning (zero-width space, byte order mark, soft hyphen, direction overrides, tags), spaces at the ends of lines,
more than two blank lines. Brings line ends to \\n and Unicode to NFC. Keeps indentation, tabs, every letter of
every script, variation selectors, and the joiners U+200C and U+200D that Persian, Indic scripts and emoji need.
Cleaning twice is cleaning once.

Most texts are clean, so each rule first asks whether its sign is there at all: that is many times faster than to
look for what the rule would change.
"""

import re
import unicodedata

LINE_ENDS = ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
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
TAG = re.compile("[\U000e0000-\U000e007f]")
TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007f]+)|[\U000e0000-\U000e007f]+")
SPACES = " \t\xa0\u3000"
BLANK_LINES = re.compile("\n{4,}")

PLAIN = bytes([*range(0x20, 0x7F), *b"\t\n"])
"""Bytes of ASCII characters that no rule but those of white space changes."""
UNUSUAL = re.compile(
    "[^"
    "\xa0-\xac\xae-\u02ff\u0370-\u0373\u0375-\u037d\u037f-\u0386\u0388-\u0482\u048a-\u058f"  # Latin, Greek, Cyrillic
    "\u05d0-\u05ea\u0620-\u064a\u0660-\u066f\u0671-\u06d3"  # Hebrew and Arabic letters
    "\u0e01-\u0e37\u0e3f-\u0e47\u10a0-\u10ff"  # Thai, Georgian
    "\u2002-\u200a\u200c-\u2027\u202f-\u205f\u2070-\u20cf\u2190-\u2328\u232b-\u2adb\u2add-\u2bff"  # signs
    "\u3000-\u3029\u3030-\u3098\u309b-\u31ef\u3200-\ua48c\uac00-\ud7a3"  # Chinese, Japanese, Korean
    "\ufe00-\ufe0f\uff01-\uffee\U0001f300-\U0001f3f3\U0001f3f5-\U0001faff\U00020000-\U0002a6d6"
    "]"
)
"""Characters that a rule may change or that NFC may join with the one before; all others are already as they ought."""


def clean(text: str) -> str:
    """The text without what is no writing, in NFC, with \\n line ends; "" where nothing is left."""
    if _unusual(text):
        for sign in LINE_ENDS:
            text = text.replace(sign, "\n")
        text = JUNK.sub("", COLOURS.sub("", text))
        text = TAGS.sub(r"\1", text) if TAG.search(text) else text
        # no character joins one of another line, and lines of plain ASCII need no look
        text = "\n".join([line if line.isascii() else unicodedata.normalize("NFC", line) for line in text.split("\n")])
    return _without_white_space(text)


def beyond_ascii(text: str) -> str:
    """The characters of a text that are no printable ASCII, tab or \\n, in their order: a short string to look at."""
    rest = text.encode("utf-8", errors="surrogatepass").translate(None, PLAIN)  # both passes at a gigabyte a second
    return rest.decode("utf-8", errors="surrogatepass")


def _unusual(text: str) -> bool:
    """Whether there is any character that asks for more than the rules of white space."""
    rest = beyond_ascii(text)
    return bool(rest) and (rest.isascii() or UNUSUAL.search(rest) is not None)


def _without_white_space(text: str) -> str:
    """Without spaces at the ends of lines, blank lines beyond two, and line ends around the text."""
    if " \n" in text or "\t\n" in text or "\xa0\n" in text or "\u3000\n" in text or text[-1:] in SPACES:
        text = "\n".join([line.rstrip(SPACES) for line in text.split("\n")])
    if "\n\n\n\n" in text:
        text = BLANK_LINES.sub("\n\n\n", text)
    return text.strip("\n")
