"""What stands in the samples of a step that must not be taken, as a file that a person can read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..atomic import write_file
from ..tokens.tokenizer import Tokenizer

TEXTS = ("source", "ids", "left", "right")  # fields of a batch that hold tokens


def written(path: Path, sampler: Any, numbers: Sequence[int], tokenizer: Tokenizer) -> Path:
    """Write the text of these samples, special tokens by their names, one below the other."""
    batch, lines = sampler.samples(numbers)._asdict(), []
    for row, number in enumerate(numbers):
        for name in (name for name in TEXTS if batch.get(name) is not None):
            text = tokenizer.inner.decode(batch[name][row].tolist(), skip_special_tokens=False)
            lines += [f"# sample {number}, {name}", text, ""]
    write_file(path, "\n".join(lines).encode("utf-8", "replace"))
    return path
