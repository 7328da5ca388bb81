"""The files of the standard library that corpora are made of, and which of them are held out."""

import hashlib

FILES = r"(?!.*(?:^|/)(?:tests?|idlelib/idle_test|site-packages)/).*\.py"
SHARE = 20


def split(name: str) -> str:
    """"test" for one file in SHARE, by its name alone, else "train": so corpora of the same files agree on it."""
    return "test" if int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % SHARE == 0 else "train"
