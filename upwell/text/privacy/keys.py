"""What keys and tokens look like: the forms that services publish for theirs, and assignments to telling names.

A row names the literal signs that must stand in a text before its pattern is tried at all. The value is the group
"key" where there is one, and the whole match otherwise.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import Span


@dataclass(frozen=True)
class Row:
    """One kind of secret."""

    kind: str
    hints: tuple[str, ...]
    """One of these stands in every text that has one."""
    pattern: re.Pattern
    check: Callable[[str], bool]


def long_row(value: str) -> bool:
    """Whether there is a key between the first and the last line, and no program that speaks of them."""
    return re.search("[A-Za-z0-9+/]{40}", value) is not None


def mixed(value: str) -> bool:
    """No row of one sign and no word: letters and digits (or both cases) that look drawn by chance."""
    return entropy(value) >= 3.0 and classes(value) >= 2


def entropy(value: str) -> float:
    """Bits a sign, from the counts of the signs."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def classes(value: str) -> int:
    """How many of: small letters, capitals, digits, other signs."""
    tests = (str.islower, str.isupper, str.isdigit, lambda sign: not sign.isalnum())
    return sum(any(test(sign) for sign in value) for test in tests)


def row(kind: str, hints: str, pattern: str, check=mixed, flags=re.ASCII) -> Row:
    """A row whose pattern stands between signs that are no letters or digits."""
    return Row(kind, tuple(hints.split()), re.compile(rf"(?<![A-Za-z0-9_\-]){pattern}(?![A-Za-z0-9])", flags), check)


BLOCK = Row(
    "private key",
    ("PRIVATE KEY",),
    re.compile(
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        # no possessive groups: the first releases of Python 3.11 go wrong where one holds another choice
        r"(?:[A-Za-z0-9+/=\s\\\"',:.()]*+(?:-(?!----)[A-Za-z0-9+/=\s\\\"',:.()]*+)*"
        r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:(?:\\[nr]|[\s\"'+])*[A-Za-z0-9+/=]{16,}+)+)",
        re.ASCII,
    ),
    long_row,
)
SERVICES = (
    row("AWS key", "AKIA ASIA ABIA ACCA", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    row("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", "gh[opsur]_[A-Za-z0-9]{36,255}"),
    row("GitHub token", "github_pat_", "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    row("GitLab token", "glpat- gldt- glrt- glptt- glcbt-", r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_\-]{20,64}"),
    row("Slack token", "xox xapp-", r"(?:xox[abeoprs](?:\.xox[bp])?|xapp)-[A-Za-z0-9\-]{10,250}"),
    row("Slack token", "hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows)/(?P<key>[A-Za-z0-9/]{24,120})"),
    row("Stripe key", "k_live_ k_test_ whsec_", "(?:[spr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,250}"),
    row("Anthropic key", "sk-ant-", r"sk-ant-[a-z0-9]{3,12}-[A-Za-z0-9_\-]{60,200}"),
    row("OpenAI key", "T3BlbkFJ", r"sk-(?:[a-zA-Z]{4,8}-)?[A-Za-z0-9_\-]{20,200}T3BlbkFJ[A-Za-z0-9_\-]{20,200}"),
    row("OpenAI key", "sk-", "sk-[A-Za-z0-9]{48}"),
    row("OpenAI key", "sk-proj-", r"sk-proj-[A-Za-z0-9_\-]{40,200}"),
    row("Google key", "AIza", r"AIza[A-Za-z0-9_\-]{35}"),
    row("Google key", "GOCSPX-", r"GOCSPX-[A-Za-z0-9_\-]{28}"),
    row("Google key", "ya29.", r"ya29\.[A-Za-z0-9_\-]{30,500}"),
    row("npm token", "npm_", "npm_[A-Za-z0-9]{36}"),
    row("npm token", "_authToken", r"_authToken ?= ?(?P<key>[A-Za-z0-9_\-]{30,100})"),
    row("PyPI token", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_\-]{50,500}"),
    row("Hugging Face token", "hf_", "hf_[A-Za-z0-9]{34,40}"),
    row("SendGrid key", "SG.", r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{32,64}"),
    row("Telegram token", ":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}"),
    row("Azure key", "AccountKey=", "AccountKey=(?P<key>[A-Za-z0-9+/]{86}==)"),
    row("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", "do[opr]_v1_[a-f0-9]{64}"),
    row("Shopify token", "shpat_ shpca_ shppa_ shpss_", "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    row("Databricks token", "dapi", "dapi[a-f0-9]{32}"),
    row("JWT", "eyJ", r"eyJ[A-Za-z0-9_\-]{10,2000}+\.eyJ[A-Za-z0-9_\-]{10,4000}+\.[A-Za-z0-9_\-]{16,1000}+"),
)  # fmt: skip

WORDS = ("pass", "pwd", "secret", "token", "key", "credential")
CAPITALS = {capital: capital + 32 for capital in range(65, 91)}
KEY_BEFORE = re.compile(
    r"(?:api|access|auth|private|secret|signing|encryption|account|shared|master)[_\- ]?\Z", re.IGNORECASE
)
NO_PASSWORD = re.compile(r"(?:com|by|sur|tres|over|under)\Z", re.IGNORECASE)
ASSIGNED = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|key|credentials?)[\"'\]]{0,2}[ \t]{0,8}"
    r"(?::=|=>|=|:[ \t]{0,3}[A-Za-z]{1,12}[ \t]{0,3}=|:)[ \t]{0,8}"
    r"(?:[bfru]?(?P<quote>[\"'`])(?P<key>[^\"'`\s]{6,200}+)(?P=quote)|"
    r"(?P<plain>[^\s\"'`;,#<>(){}\[\]$]{8,96}+)[ \t]{0,8}+$)",
    re.IGNORECASE | re.ASCII | re.MULTILINE,
)
CONNECTION = re.compile(r"://[^\s/@:?#\"'<>`]{0,128}+:(?P<key>[^\s/@:?#\"'<>`]{3,256}+)@", re.ASCII)
FIELD = re.compile(r"(?<![A-Za-z])(?:password|pwd)[ \t]?=[ \t]?(?P<key>[^;,\"'\s<>{}()\[\]"
    r"$=]{4,96}+)(?=[;\"'])", re.IGNORECASE)
NOBODYS = re.compile(
    r"\A(?:[$%]?[{(<\[]|\*{3}|x{4}|\.{3}|%s|[$%][A-Za-z_]|"
    r"(?:your|my|the|some|test|dummy|fake|example|sample|change|insert|enter|replace|todo|none|null|true|false|undefined|required|optional|string|os\.|process\.|env\.|self\.|this\.|config|"
    r"settings|options|request|params|get|user|name|placeholder|redacted|foo|bar|baz|secret|password|pass(?:wd|phrase)?|token|key)"
    r"(?![a-z]{0,16}[0-9!@#%&?]{2}))",
    re.IGNORECASE,
)


def secrets(text: str, code: bool, threshold: float) -> Iterator[Span]:
    """Secrets in a text; outside of code only private key blocks."""
    if BLOCK.hints[0] in text:
        yield from by_row(BLOCK, text)
    if not code:
        return
    for kind in SERVICES:
        if any(hint in text for hint in kind.hints):
            yield from by_row(kind, text)
    # Of letters beyond ASCII, lower() may change how many there are.
    small = text.lower() if text.isascii() else text.translate(CAPITALS)
    yield from assigned(text, small, threshold)
    if "://" in text and "@" in text:
        yield from (part("password", match) for match in CONNECTION.finditer(text) if not NOBODYS.match(match["key"]))


def by_row(row: Row, text: str) -> Iterator[Span]:
    for match in row.pattern.finditer(text):
        span = part(row.kind, match)
        if row.check(span.value):
            yield span


def part(kind: str, match: re.Match, group: str = "key") -> Span:
    """The span of a group, of the whole match where there is no such group."""
    name = group if group in match.re.groupindex else 0
    return Span(kind, *match.span(name), match[name])


def assigned(text: str, small: str, threshold: float) -> Iterator[Span]:
    """Values given to names like password or api_key that look drawn by chance; fields of connection strings."""
    for match in FIELD.finditer(text):
        if by_chance("pass", match["key"], threshold, False):
            yield part("password", match)
    for word in WORDS:
        for place in places(small, word):
            match = ASSIGNED.match(text, place)
            if match and named(word, text[max(0, place - 12) : place]):
                group = "key" if match["key"] is not None else "plain"
                if by_chance(word, match[group], threshold, group == "plain"):
                    yield part("password" if word in ("pass", "pwd") else "assigned secret", match, group)


def places(text: str, word: str) -> Iterator[int]:
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + len(word))


def named(word: str, before: str) -> bool:
    """Whether the name that ends with this word is one for secrets: no key without a kind, no compass."""
    return KEY_BEFORE.search(before) is not None if word == "key" else not NO_PASSWORD.search(before)


def by_chance(word: str, value: str, threshold: float, plain: bool) -> bool:
    """Whether a value is a secret and no name, path, sentence, call or stand-in.

    A password has two classes of signs, a digit or another sign among them; everything else is longer and has more
    bits a sign. A value without quotes must have digits, and no sign that a piece of program has.
    """
    if NOBODYS.match(value) or re.match(r"[./~\\]|https?:|[A-Za-z]:\\", value) or "://" in value or "..." in value:
        return False
    if plain and (re.search(r"[.=|&]", value) or not re.search("[0-9]", value)):
        return False
    if word in ("pass", "pwd"):
        told = any(not sign.isalpha() and sign not in "_-." for sign in value)
        return told and classes(value) >= 2 and entropy(value) >= threshold - 1
    return len(value) >= 16 and re.search("[0-9]", value) is not None and entropy(value) >= threshold
