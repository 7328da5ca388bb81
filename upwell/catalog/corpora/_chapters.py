"""Chapters in the order of their numbers."""

import re


def by_number(name: str) -> list[int | str]:
    """A key by which file 2 stands before file 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
