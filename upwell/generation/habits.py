"""What a model's folder says of how it writes: its generation_config.json. Knows files and no model."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Habits:
    """What a folder's generation_config.json says of how its model writes."""

    ends: frozenset[int] = frozenset()
    """Ids that end a text; chat models name more here than in config.json."""
    start: int | None = None
    """With which the decoder of an encoder-decoder begins."""
    first: int | None = None
    """The id that it writes first, such as a language's."""
    banned: tuple[int, ...] = ()
    """Ids that it never writes, such as Marian's padding."""
    sequences: tuple[tuple[int, ...], ...] = ()
    """Several ids that it never writes one behind the other."""


def habits(folder: Path | None) -> Habits:
    """What a folder says of writing; older ones say it in config.json. CheckpointError for a damaged file."""
    from ..model.hub import read_json

    path = next((folder / name for name in ("generation_config.json", "config.json")
                 if (folder / name).is_file()), None) if folder else None  # fmt: skip
    said = read_json(path) if path else {}
    bad = [tuple(ids) for ids in said.get("bad_words_ids") or []]
    never = [ids[0] for ids in bad if len(ids) == 1]
    return Habits(frozenset(_ids(said, "eos_token_id")), said.get("decoder_start_token_id"),
                  next(iter(_ids(said, "forced_bos_token_id")), None),
                  (*never, *_ids(said, "suppress_tokens")), tuple(ids for ids in bad if len(ids) > 1))  # fmt: skip


def _ids(said: dict, key: str) -> list[int]:
    """One id, several or none."""
    given = said.get(key)
    return [] if given is None else [given] if isinstance(given, int) else list(given)
