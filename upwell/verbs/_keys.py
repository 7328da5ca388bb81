"""Who may ask a server, and which documents each sees: --api-key or --api-key-file -> keys.

A line of the file is a key, and behind it may stand the collections that it sees: `KEY sales,support`. What stands in
the file is told in no error.
"""

from pathlib import Path

from upwell.errors import SettingsError

KEYS = 1000
Keys = dict[str, frozenset[str] | None]


def read_keys(settings) -> Keys:
    """The keys; none where nobody is asked. An empty one would be none at all, so it is refused."""
    if settings.api_key_file is not None:
        return keys_in(settings.api_key_file, bool(settings.index))
    found = () if settings.api_key is None else (settings.api_key.strip(),)
    if "" in found:
        raise SettingsError("the key is empty; give one of some length, or none")
    return dict.fromkeys(found)


def keys_in(file: Path, has_index: bool) -> Keys:
    """The keys of a file, one a line, with what each sees; what stands in a line is told in no error."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"--api-key-file {file} can't be read ({error}); name a text file that holds the key"
        ) from None
    rows = [(number, line.split(None, 1)) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise SettingsError("the key is empty; give one of some length, or none")
    if len(rows) > KEYS:
        raise SettingsError(f"--api-key-file: found {len(rows)} keys, expected at most {KEYS}")
    found: Keys = {}
    for number, (key, *rest) in rows:
        sees = collections_of(rest[0], f"{file}:{number}", has_index) if rest else None
        if found.setdefault(key, sees) != sees:
            raise SettingsError(f"{file}:{number}: found a key of an earlier line with other collections, expected one "
                                "line for each key")  # fmt: skip
    return found


def collections_of(text: str, where: str, has_index: bool) -> frozenset[str]:
    """What stands behind a key: names of collections with commas between."""
    names = [name.strip() for name in text.split(",")]
    if not has_index or any(len(name.split()) != 1 for name in names):
        raise SettingsError(f"{where}: found more than a key, expected the key alone, or (with --index) the key and "
                            "the names of collections with commas between")  # fmt: skip
    return frozenset(names)
