"""How a model is asked for a translation, and which languages it knows.

    asking = of(backend, folder)            # what its folder says
    asking.prompt("Open the file.", "en", "zh"), asking.check("en", "zh")

A run of the objective pairs says in its upwell.yaml what stands before a source. T5's config.json names its tasks,
Marian's tokenizer has a token for each language that it writes, a chat model is told in words, a server is one.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import DataError, SettingsError
from ..generation.backend import Backend, Prompt

NAMES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
LOOKED_AT = 400  # pairs of a prepared folder whose languages are looked at


@dataclass(frozen=True)
class Asking:
    """One model's way."""

    name: str
    prompt: Callable[[str, str, str], Prompt]
    """(text, source, target) -> what the model reads."""
    pairs: frozenset[tuple[str, str]] = frozenset()
    """(source, target) that it knows; empty: it does not say."""
    prefix: Callable[[str, str], str] = lambda source, target: ""
    """What of the prompt stands before the text, where it is one text."""

    def check(self, source: str, target: str) -> None:
        """SettingsError for languages that the model does not know, with those that it knows."""
        if source == target:
            raise SettingsError(f"found {source!r} as the language of the text and of its translation, expected two")
        if self.pairs and (source, target) not in self.pairs:
            known = ", ".join(f"{one} to {other}" for one, other in sorted(self.pairs))
            raise SettingsError(f"{self.name} does not translate from {source!r} to {target!r}; it knows {known}")

    def target(self, source: str) -> str:
        """The one language that it translates this one into; SettingsError where there are others or none."""
        found = sorted({other for one, other in self.pairs if one == source})
        if len(found) != 1:
            known = f"one of {', '.join(found)}" if found else "a language, such as en"
            raise SettingsError(f"--to is missing; expected {known}")
        return found[0]


def of(backend: Backend, folder: Path | None, prefix: str | None = None,
       known: Iterable[tuple[str, str]] = ()) -> Asking:  # fmt: skip
    """The way of a model. prefix: what stands before every text, {source} and {target} in it are languages; default:
    as the folder says. known: the pairs of languages, where the folder does not say them."""
    said = _said(folder)
    pairs = frozenset(known) or languages(folder)
    config = getattr(backend, "config", None)
    learnt = said.get("learn") or {}
    learnt = learnt.get("pairs") or {} if said.get("objective") == "distil" else learnt
    if prefix is not None or said.get("objective") in ("pairs", "distil"):
        return _prefixed(backend, prefix if prefix is not None else learnt.get("prefix") or "", pairs)
    if config is not None and config.shape == "encoder-decoder":
        tasks = _tasks(folder)
        if tasks:
            return _by_task(backend, tasks)
        return _marian(backend, pairs)
    return Asking(backend.name, _told, pairs)


def check_told(backend: Backend, way: Asking) -> None:
    """SettingsError for a model of ours that can only be told in words what to do, and is no chat model."""
    config, template = getattr(backend, "config", None), getattr(backend, "template", None)
    if way.prompt is _told and config is not None and (config.shape != "decoder" or template is None or template.plain):
        raise SettingsError(f"{backend.name} ({config.kind}) has learnt no pairs of languages and is no chat model, "
                            "expected one of them; `upwell recipe translate-en-zh` makes one")  # fmt: skip


def languages(folder: Path | None) -> frozenset[tuple[str, str]]:
    """The pairs that a run learnt: as its upwell.yaml says, else those of its prepared data, where that still is."""
    said, spoken = _said(folder), _said(folder, "languages")
    if spoken:
        return frozenset(map(tuple, spoken))
    data = Path(str(said.get("data") or ""))
    places = [data, folder.parent / data.name] if folder is not None and data.name else []
    file = next((place / "train.jsonl" for place in places if (place / "train.jsonl").is_file()), None)
    if file is None:
        return frozenset()
    learnt = said.get("learn") or {}
    both = bool(learnt.get("both") or (learnt.get("pairs") or {}).get("both"))
    with file.open(encoding="utf-8") as lines:
        return learnt_from((json.loads(line).get("fields") for line in lines), both)


def learnt_from(fields: Iterable[dict | None], both: bool) -> frozenset[tuple[str, str]]:
    """The pairs of languages among the first examples; both: each was learnt the other way round as well."""
    found = set()
    for _, one in zip(range(LOOKED_AT), fields, strict=False):
        pair = (one or {}).get("source_language"), (one or {}).get("target_language")
        if all(pair):
            found |= {pair, pair[::-1]} if both else {pair}
    return frozenset(found)


def _said(folder: Path | None, key: str = "settings") -> dict:
    """What a folder's upwell.yaml says under a key."""
    path = None if folder is None else folder / "upwell.yaml"
    if path is None or not path.is_file():
        return {}
    try:
        return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get(key) or {}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError):
        raise DataError(f"{path}: it is no YAML record; `upwell doctor {folder}` says more") from None


def _prefixed(backend: Backend, prefix: str, pairs: frozenset) -> Asking:
    from ..objectives.pairs import Settings, Way

    way = Way(backend.tokenizer, backend.config, Settings(prefix=prefix))

    def before(source: str, target: str) -> str:
        return prefix.replace("{source}", source).replace("{target}", target)

    return Asking(backend.name, lambda text, source, target: way.source(before(source, target), text), pairs, before)


def _tasks(folder: Path | None) -> dict[tuple[str, str], str]:
    """(source, target) -> what stands before a text, of a T5 whose config.json names its tasks."""
    path = None if folder is None else folder / "config.json"
    if path is None or not path.is_file():
        return {}
    tasks = json.loads(path.read_text(encoding="utf-8")).get("task_specific_params") or {}
    found = {}
    for name, task in tasks.items():
        words = name.split("_")
        if len(words) == 4 and words[0] == "translation" and isinstance(task, dict) and task.get("prefix"):
            found[words[1], words[3]] = task["prefix"]
    return found


def _by_task(backend: Backend, tasks: dict[tuple[str, str], str]) -> Asking:
    def before(source: str, target: str) -> str:
        return tasks[source, target]

    def prompt(text: str, source: str, target: str) -> Prompt:
        return backend.tokenizer.encode_source(before(source, target) + text)

    return Asking(backend.name, prompt, frozenset(tasks), before)


def _marian(backend: Backend, pairs: frozenset) -> Asking:
    """One direction, or a token such as >>deu<< for each language that it writes."""

    def prompt(text: str, source: str, target: str) -> Prompt:
        special = backend.tokenizer.special.get(f">>{target}<<")
        ids = backend.tokenizer.encode_source(text)
        return ids if special is None else [special, *ids]

    return Asking(backend.name, prompt, pairs)


def _told(text: str, source: str, target: str) -> Prompt:
    one, other = (NAMES.get(language.partition("-")[0], language) for language in (source, target))
    return [
        {
            "role": "user",
            "content": f"Translate the following text from {one} into {other}. Keep names, numbers, "
            f"addresses and signs such as {{0}} or %s as they are. Answer with the translation alone.\n\n{text}",
        }
    ]
