"""What is refused by name: an argument that upwell does not know, or a value that means nothing here.

It knows no model.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import SettingsError
from ..settings import did_you_mean


class Unknown(SettingsError, TypeError):
    """An argument that upwell does not know; a TypeError, as Python raises for one."""


def refuse(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Unknown where a name of `given` is not among the known ones, with the nearest of these."""
    known = list(known)
    for name in given:
        if name not in known:
            near = did_you_mean(name, known)
            told = near if near.endswith("?") else ", or anything like it; leave it out, or train with transformers"
            raise Unknown(f"{what}: upwell does not know {name}{told}")


def only(what: str, given: Mapping[str, Any], allowed: Mapping[str, tuple]) -> None:
    """SettingsError where an argument has a value that is not among those that upwell knows."""
    for name, values in allowed.items():
        if name in given and given[name] not in values:
            raise SettingsError(f"{what}: {name} is {given[name]!r}; upwell knows "
                                f"{' or '.join(map(repr, values))} here")  # fmt: skip
