"""E-mail addresses, user and password in addresses of the web, IPv4 and IPv6 addresses.

Left alone, because nobody is reached by them: the names that RFC 2606 reserves (example.com, .test, .invalid ...),
`git@host:` of version control, files named like addresses (icon@2x.png), private, loopback and documentation ranges of
IP, the public name servers that every manual names, and the four numbers of a version or a chapter.
"""

import ipaddress
import re
import string
from collections.abc import Iterator

LOCAL = string.ascii_letters + string.digits + "._%+-'"
LABEL = "[A-Za-z0-9][A-Za-z0-9-]{0,62}+"
DOMAIN = re.compile(rf"@{LABEL}(?:\.{LABEL}){{1,9}}+(?![A-Za-z0-9_@])", re.ASCII)
TOP_LEVEL = re.compile(r"xn--[a-z0-9-]{2,40}|[a-z]{2,24}", re.ASCII)
IN_ADDRESS = re.compile(r"://[^\s/]{0,200}\Z")
RESERVED = frozenset("example test invalid localhost local internal".split())
FILES = frozenset(
    "png jpg jpeg gif svg webp bmp tiff css scss less html htm json xml yml yaml txt php jsx tsx pdf zip gz tgz tar "
    "exe dll mp4 mp3 wav avi csv log conf cfg ini jar class bin min bundle js ts".split()
)
CREDENTIALS = re.compile(r"://([^\s/@:?#\"'<>`]{0,128}+):([^\s/@:?#\"'<>`]{1,256}+)@", re.ASCII)
STAND_IN = re.compile(r"\A(?:[$%]?[{<\[]|\*|xxx|\.{3}|\$[A-Z_]|%s)", re.IGNORECASE)
STAND_IN_PASSWORD = re.compile(
    r"\A(?:your|my|the|some)?[-_]?(?:pass(?:word|wd|phrase)?|pwd|pw|secret|token)$", re.IGNORECASE
)

FOUR = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.", re.ASCII)
IPV4 = re.compile(r"(?<![A-Za-z0-9_.\-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9_]|\.[A-Za-z0-9]|-[0-9])", re.ASCII)
SMALL = 32
NAME_SERVERS = frozenset("8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 9.9.9.9 208.67.222.222 114.114.114.114".split())
VERSION = re.compile(
    r"(?<![A-Za-z])(?=[^\W\d_]|§)(?:versions?|ver\.?|v\.?|releases?|build|revision|rev\.?|upgraded?|updated?|firmware|driver|kernel|sections?|"
    r"chapters?|clauses?|articles?|figures?|fig\.?|tables?|appendix|paragraphs?|§{1,2}|oid|assembly|版本.?|第|升级到?|更新到?)"
    r"[\s:=\"'(]{0,5}+(?:(?:to|from|is|number|no\.?|of|为|是)[\s:=\"'(]{0,5}+)?\Z",
    re.IGNORECASE,
)
PRODUCT = re.compile(r"[A-Za-z][/=\-][vV]?\Z|[=~^<>]=\s?\"?\Z")
HOST = re.compile(
    r"(?<![A-Za-z])(?:ip|ipv4|addr(?:ess)?|hosts?|server|ping|dns|gateway|login|from|client|proxy)(?![A-Za-z])|"
    "地址|主机|服务器",
    re.IGNORECASE,
)
SHORTENED, IN_FULL = re.compile("[23][0-9A-Fa-f]{3}:"), re.compile(":(?:[0-9A-Fa-f]{0,4}:){6}")
IPV6 = re.compile(
    r"(?<![A-Za-z0-9_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f]{0,4})(?![A-Za-z0-9_:])",
    re.ASCII,
)


def emails(text: str) -> Iterator[tuple[int, int]]:
    """Addresses of ASCII letters; the caller has seen an @."""
    for match in DOMAIN.finditer(text):
        start = match.start() - len(own_name(text[max(0, match.start() - 65) : match.start()]))
        stop = match.end() - match[0].endswith("-")
        if start < match.start() and is_address(text, start, match.start(), stop):
            yield start, stop


def own_name(before: str) -> str:
    """What stands before the @ at the end of `before`; "" where it is too long or glued to something else."""
    name = before[len(before.rstrip(LOCAL)) :].lstrip(".'%+-")
    wrong = len(name) > 64 or not name or name[-1] == "." or ".." in name
    return "" if wrong else name


def is_address(text: str, start: int, at: int, stop: int) -> bool:
    labels = text[at + 1 : stop].lower().split(".")
    top = labels[-1]
    if top in RESERVED or top in FILES or not TOP_LEVEL.fullmatch(top):
        return False
    if labels[-2] == "example" and top in ("com", "org", "net"):
        return False
    version = len(labels) > 2 and all(label.isdigit() for label in labels[:-1])
    service = text[start:at] == "git" and text[stop : stop + 1] in (":", "/")
    return not version and not service and not IN_ADDRESS.search(text[max(0, start - 200) : start])


def credentials(text: str) -> Iterator[tuple[int, int]]:
    """The user:password of an address of the web; the caller has seen :// and an @."""
    for match in CREDENTIALS.finditer(text):
        user, password = match[1], match[2]
        stand_in = STAND_IN.match(password) or STAND_IN_PASSWORD.match(password) or user[:1] in ("$", "{", "<", "%")
        if not stand_in:
            yield match.start(1), match.end(2)


def ipv4(text: str) -> Iterator[tuple[int, int]]:
    """Public IPv4 addresses."""
    if not FOUR.search(text):
        return
    for match in IPV4.finditer(text):
        parts = match[0].split(".")
        if any(int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts):
            continue
        if match[0] in NAME_SERVERS:
            continue
        if ipaddress.IPv4Address(match[0]).is_global and is_host(text, match.start(), max(map(int, parts)) < SMALL):
            yield match.span()


def is_host(text: str, start: int, small: bool) -> bool:
    """Four numbers are a version after a word that says so, or where all are small and no word speaks of a host."""
    before = text[max(0, start - 40) : start]
    if VERSION.search(before) or PRODUCT.search(before):
        return False
    return not small or HOST.search(before) is not None


def ipv6(text: str) -> Iterator[tuple[int, int]]:
    """Public IPv6 addresses: written in full, or shortened within 2000::/3, where all that are given out lie."""
    if not ("::" in text and SHORTENED.search(text)) and not IN_FULL.search(text):
        return  # no match would pass what is asked below
    for match in IPV6.finditer(text):
        value = match[0]
        if value.count(":") < 7 and not ("::" in value and value[0] in "23" and value.find(":") == 4):
            continue
        try:
            address = ipaddress.IPv6Address(value)
        except ValueError:
            continue
        if address.is_global and not address.is_multicast:
            yield match.span()
