"""Train a tokenizer on text and say how well it fits.

Byte-level BPE, saved as tokenizer.json and tokenizer_config.json, which transformers' AutoTokenizer opens too.
`upwell prepare` does this by itself; this is for a tokenizer that several corpora share.

Examples:
    upwell tokenizer ~/texts --vocab-size 8000 --out tokenizers/mine
    upwell tokenizer prepared --out tokenizers/small --vocab-size 2000
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import DataError

CHECKED = 2000


@dataclass(frozen=True)
class Settings:
    """Which text, and how many tokens."""

    paths: Positional[tuple[Path, ...]]
    """Folders, text files, JSON lines or prepared folders (of these the part to learn from)."""
    out: Path = Path("tokenizer")
    """The folder to write."""
    vocab_size: int = 4096
    """How many tokens, the end-of-text token and the 256 bytes included."""
    encoding: str = ""
    """Encoding of all plain text files, where finding it out goes wrong."""
    skip_unreadable: bool = False
    """Leave out files and lines that cannot be read, instead of stopping."""

    def __post_init__(self):
        if not self.paths:
            raise ValueError("no text is named; expected folders or files")


def main(settings: Settings) -> None:
    from upwell.text.clean import clean
    from upwell.text.sources import read
    from upwell.tokens.tokenizer import train

    paths = [path / "train.jsonl" if (path / "manifest.json").is_file() else path for path in settings.paths]
    documents = read(paths, settings.encoding or None, settings.skip_unreadable)
    texts = [text for document in documents if (text := clean(document.text))]
    if not texts:
        raise DataError("There is no text in what was named; name a folder with text in it.")
    tokenizer = train(texts, settings.vocab_size)
    tokenizer.save(settings.out)
    sample = texts[:: max(1, len(texts) // CHECKED)]
    ids = tokenizer.encode_batch(sample)
    whole = sum(tokenizer.decode(one) == text for one, text in zip(ids, sample, strict=True))
    per_token = sum(len(text.encode()) for text in sample) / max(sum(map(len, ids)), 1)
    rows = [
        ["vocabulary", f"{tokenizer.vocab_size:,} of {settings.vocab_size:,} tokens"],
        ["bytes a token", f"{per_token:.2f}"],
        ["there and back", f"{whole:,} of {len(sample):,} documents unchanged"],
        ["folder", str(settings.out)],
    ]
    terminal.table("Tokenizer", ("what", "result"), rows)
    terminal.say(f"Go on with: upwell prepare TEXT --tokenizer {settings.out}")
