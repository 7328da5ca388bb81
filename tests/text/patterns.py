"""Every compiled pattern of some modules, and texts that are meant to make a pattern slow."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from re import _constants as signs
from re import _parser as parser
from types import ModuleType

SIZE = 100_000
UNITS = ["a", "A", "1", " ", "-", ".", "@", "a@a.", "1 ", "1-", "+1(", "://a:", "a:", "::1", "1.", "\n", "A1", "身"]


def patterns_of(modules: Iterable[ModuleType]) -> dict[str, re.Pattern]:
    """Name -> pattern, also of those that stand in tuples and in dataclasses."""
    found = {
        pattern: f"{module.__name__}.{name}{place}"
        for module in modules
        for name, value in vars(module).items()
        for place, pattern in enumerate(inside(value))
    }
    return {name: pattern for pattern, name in found.items()}


def inside(value: object) -> Iterator[re.Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from inside(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from inside(getattr(value, field.name))


def slow_texts(pattern: re.Pattern) -> Iterator[tuple[str, str | bytes, str | bytes]]:
    """(what it is made of, 12.5 KB, 100 KB of it): single signs, beginnings of what the pattern matches, its end."""
    small, large = (sample(parser.parse(pattern.pattern, pattern.flags), times) for times in (0, 40))
    units = [*UNITS, small, large, small[:-1], large[:-1], *(large[:size] for size in (1, 2, 3, 5, 8, 16))]
    made = [("", unit) for unit in dict.fromkeys(units) if unit]
    made += [(large[:-1], sign) for sign in {small[-1:], large[-1:], " ", "a", "1"} if sign]
    for beginning, unit in made:
        texts = ((beginning + unit * (size // len(unit) + 1))[:size] + "\x00" for size in (SIZE // 8, SIZE))
        as_bytes = isinstance(pattern.pattern, bytes)
        yield beginning + unit, *(text.encode("utf-8", "surrogatepass") if as_bytes else text for text in texts)


def seconds(pattern: re.Pattern, text: str | bytes, enough: float = 0.0, tries: int = 4) -> float:
    """The processor's for all matches: the best of a few tries, one alone where that is quick enough."""
    best = 9.0
    for _ in range(tries):
        begin = time.process_time()
        for _ in pattern.finditer(text):
            pass
        best = min(best, time.process_time() - begin)
        if best < enough:
            break
    return best


def sample(tree: Iterable, times: int) -> str:
    """A string near to what a parsed pattern matches, with `times` more rounds of each repetition than it must have."""
    return "".join(one(code, value, times) for code, value in tree)


def one(code: object, value: object, times: int) -> str:
    if code in (signs.LITERAL, signs.NOT_LITERAL):
        return chr(value) if code is signs.LITERAL else "~"
    if code is signs.IN:
        return one(*value[-1], times)
    if code is signs.RANGE:
        return chr(value[0])
    if code in (signs.MAX_REPEAT, signs.MIN_REPEAT, signs.POSSESSIVE_REPEAT):
        least, most, part = value
        return sample(part, times) * min(max(least, times), int(most))
    if code is signs.SUBPATTERN:
        return sample(value[3], times)
    if code is signs.ATOMIC_GROUP:
        return sample(value, times)
    if code is signs.BRANCH:
        return sample(value[1][0], times)
    return {signs.ANY: "a", signs.CATEGORY: " "}.get(code, "")
