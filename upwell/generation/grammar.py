"""Text that fits a JSON Schema, a regular expression or a list of choices: which tokens may come next.

llguidance (an extra, imported when a request has a grammar) reads the grammar and gives a bit for each token. Its
limits bound the time that a grammar may take, so that one that recurs for ever or grows without bound is an error.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import SettingsError, UpwellError
from .filters import NEVER
from .settings import Settings

SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
FUEL = dict(initial_lexer_fuel=400_000, step_lexer_fuel=200_000, step_max_items=50_000, max_lexer_states=50_000,
            max_grammar_size=100_000, verbose_errors=False)  # fmt: skip


def library():
    """llguidance, or an error that says how to get it."""
    try:
        import llguidance
    except ImportError:
        raise UpwellError("a grammar needs the package llguidance; pip install 'upwell[grammar]'") from None
    return llguidance


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, tokens: list[bytes], special: list[int], end: int, encode: Callable[[str], list[int]]):
        self.tokens, self.special_token_ids, self.eos_token_id, self._encode = tokens, special, end, encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def view(texts: Sequence[bytes], special: Mapping[str, int], ends: list[int], encode: Callable[[str], list[int]]):
    """llguidance's tokenizer over tokens given as bytes; special tokens have a text too, which nothing can spell."""
    found = library()
    names = {id: text.encode() for text, id in special.items() if id < len(texts)}
    tokens = [names.get(id, text) for id, text in enumerate(texts)]
    return found.LLTokenizer(found.TokenizerWrapper(_Vocabulary(tokens, sorted(names), ends[0], encode)),
                             n_vocab=len(tokens), eos_token=ends)  # fmt: skip


class Grammar:
    """A filter. tokens (rows, T) are what was written; rows that begin alike share their state.

    SettingsError for a grammar that cannot be read, or that nothing fits.
    """

    def __init__(self, tokenizer, settings: Settings, vocab: int):
        found = library()
        self.vocab = vocab
        self._name = next(n for n in ("json_schema", "regex", "choices") if getattr(settings, n))
        try:
            grammar = _read(found.LLMatcher, settings)
        except (ValueError, RecursionError) as error:
            raise SettingsError(self._wrong(error)) from None
        root = found.LLMatcher(tokenizer, grammar, log_level=0, limits=found.LLParserLimits(**FUEL))
        for state in (root, _one_further(root)):
            if state.is_error():
                raise SettingsError(self._wrong(state.get_error()))
        self._states: OrderedDict[tuple[int, ...], object] = OrderedDict()
        self._root = root

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """Logits of what the grammar forbids are -inf."""
        allowed = np.zeros((len(tokens), self.vocab), dtype=bool)
        for row, ids in zip(allowed, tokens.tolist(), strict=True):
            state = self._at(tuple(ids))
            known = _bits(state)[: self.vocab]
            self._check(state)
            row[: len(known)] = known
        while len(self._states) > max(16, 4 * len(tokens)):
            self._states.popitem(last=False)
        return logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), NEVER)

    def _at(self, ids: tuple[int, ...]):
        """The state behind these ids."""
        if not ids:
            return self._root
        if ids not in self._states:
            state, left = self._states.get(ids[:-1]), ids[-1:]
            if state is None:
                state, left = self._root, ids
            state = state.deep_copy()
            state.consume_tokens(list(left))
            self._check(state)
            self._states[ids] = state
        self._states.move_to_end(ids)
        return self._states[ids]

    def _check(self, state) -> None:
        if state.is_error():
            raise UpwellError(f"{self._name}: the text cannot go on within its grammar ({_line(state.get_error())}); "
                              "simplify it")  # fmt: skip

    def _wrong(self, error) -> str:
        said = _line(error)
        if "NoExtension" in said:
            said = "no text fits it"
        elif any(word in said for word in ("Too many items", "too large", "too big", "too many", "limit", "recursion")):
            said = f"it is too large or nested too deeply: {said}"
        kind = {"json_schema": "a JSON Schema", "regex": "a regular expression", "choices": "texts"}[self._name]
        return f"{self._name}: expected {kind} that can be kept to, found one that cannot ({said})"


def _read(matcher, s: Settings) -> str:
    """The grammar in llguidance's words. ValueError or RecursionError, which say why it cannot be read."""
    if s.json_schema is not None:
        schema = json.loads(s.json_schema)
        if not isinstance(schema, dict):
            raise ValueError("expected a JSON object")
        if not _ends(schema, _ending(schema), set()):
            raise ValueError("it recurs without end: every text that fits it would be endless")
        return matcher.grammar_from_json_schema(s.json_schema, overrides=SPACED)
    if s.regex is not None:
        whole = s.regex.removeprefix("^")
        ended = whole.endswith("$") and (len(whole) - len(whole[:-1].rstrip("\\"))) % 2 == 1
        return matcher.grammar_from_regex(whole[:-1] if ended else whole)
    return matcher.grammar_from_regex("|".join(re.sub(r"[^\w ]", _hexed, text) for text in s.choices))


def _ending(whole: dict) -> set[str]:
    """The references in a schema that some finite text fits: found anew until no more are."""
    good: set[str] = set()
    met: set[str] = set()
    _ends(whole, good, met)
    while True:
        left, before = met - good, len(good) + len(met)
        good |= {ref for ref in left if _ends(_pointed(whole, ref), good, met)}
        if len(good) + len(met) == before:
            return good


def _ends(schema, good: set[str], met: set[str]) -> bool:
    """Whether some finite text fits, if one fits the references in `good`; those that it holds are put into `met`.

    A thing that must hold one of its own kind has none.
    """
    if not isinstance(schema, dict) or "const" in schema or "enum" in schema:
        return True
    parts = list(schema["allOf"]) if isinstance(schema.get("allOf"), list) else []
    named = schema.get("properties")
    if schema.get("type") in (None, "object") and isinstance(named, dict) and isinstance(schema.get("required"), list):
        parts += [named[name] for name in schema["required"] if isinstance(name, str) and name in named]
    if schema.get("type") == "array" and isinstance(schema.get("minItems"), int) and schema["minItems"] > 0:
        parts.append(schema.get("items"))
    ref, own = schema.get("$ref"), True
    if isinstance(ref, str) and ref.startswith("#"):
        met.add(ref)
        own = ref in good
    either = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list)]
    fits = [any([_ends(part, good, met) for part in some]) for some in either]
    return own and all([*fits, *(_ends(part, good, met) for part in parts)])


def _pointed(whole: dict, ref: str):
    """What a JSON pointer like #/$defs/name points to, or None."""
    found = whole
    for name in ref.removeprefix("#").split("/")[1:]:
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _hexed(found: re.Match) -> str:
    return f"\\x{{{ord(found[0]):x}}}"


def _bits(state) -> np.ndarray:
    """Which tokens may come next, as zeros and ones."""
    return np.unpackbits(np.frombuffer(state.compute_bitmask(), dtype=np.uint8), bitorder="little")


def _one_further(root):
    """The state behind the first token that may begin; what must follow it for ever shows there."""
    state, allowed = root.deep_copy(), np.flatnonzero(_bits(root))
    if len(allowed):
        state.consume_token(int(allowed[0]))
        state.compute_bitmask()
    return state


def _line(error) -> str:
    """The first sentence of what llguidance says."""
    text = str(error).split("<state>")[0].split("<non-verbose")[0]
    return " ".join(text.split())[:200].rstrip(" .")
