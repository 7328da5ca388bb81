"""AutoTokenizer: a folder's tokenizer as transformers' scripts call it, over the `tokenizers` library.

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = tokenizer(texts, truncation=True, padding=True, max_length=128)      # Encoded: a dict of lists, or tensors

A special token's string in a text stays plain text, as everywhere in upwell.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch

from .. import weights
from ..errors import DataError, SettingsError
from ..model import hub
from ..tokens import tokenizer as own
from .known import only, refuse

NAMED = ("pad", "cls", "sep", "mask", "unk", "bos", "eos")
TYPED = ("BertTokenizer", "ElectraTokenizer", "MobileBertTokenizer", "ConvBertTokenizer", "FunnelTokenizer")
CUTS = {True: "longest_first", "longest_first": "longest_first", "only_first": "only_first",
        "only_second": "only_second"}  # fmt: skip
OF_MODELS = ("model_max_length", "model_input_names")  # what a folder's tokenizer_config.json says of its model
ENDLESS = 1 << 30
FROM = ("use_fast", "model_max_length", "padding_side")
CALL = ("text", "text_pair", "text_target", "add_special_tokens", "padding", "truncation", "max_length", "stride",
        "is_split_into_words", "pad_to_multiple_of", "return_tensors", "return_token_type_ids", "return_attention_mask",
        "return_overflowing_tokens", "return_offsets_mapping", "return_special_tokens_mask",
        "return_length")  # fmt: skip


class AutoTokenizer:
    """Opens tokenizers."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **given: Any) -> "Tokenizer":
        """The tokenizer of a folder, or of a model that was fetched by this name."""
        refuse("AutoTokenizer.from_pretrained", given, FROM)
        only("AutoTokenizer.from_pretrained", given, {"use_fast": (True,), "padding_side": ("right", "left")})
        found = own.Tokenizer.load(weights.find(Path(folder)))
        return Tokenizer(found, str(folder), given.get("model_max_length"), given.get("padding_side", "right"))


class Encoded(dict):
    """Columns by name, and where each token comes from."""

    def __init__(self, columns: Mapping, encodings: Sequence[tokenizers.Encoding], single: bool):
        super().__init__(columns)
        self.encodings, self.single = list(encodings), single

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str | int) -> Any:
        """A column by its name, or the encoding of a row by its number."""
        return super().__getitem__(name) if isinstance(name, str) else self.encodings[name]

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The word of each token of a row."""
        return self.encodings[batch_index].word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Which of two texts each token of a row belongs to."""
        return self.encodings[batch_index].sequence_ids

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The pieces of a row."""
        return self.encodings[batch_index].tokens

    def to(self, device: Any) -> "Encoded":
        """Tensors on a device."""
        moved = {name: value.to(device) if hasattr(value, "to") else value for name, value in self.items()}
        return Encoded(moved, self.encodings, self.single)


class Tokenizer:
    """Texts -> columns of numbers, and back. .own: upwell's tokenizer."""

    def __init__(self, found: own.Tokenizer, name: str, longest: int | None = None, side: str = "right"):
        said = json.loads(found.beside.get("tokenizer_config.json", "{}"))
        self.own, self.name_or_path, self.padding_side = found, name, side
        self.inner = tokenizers.Tokenizer.from_str(found.definition)  # cuts and fills up, which the own one never does
        self.inner.encode_special_tokens = True
        self.model_max_length = int(min(longest or said.get("model_max_length") or ENDLESS, ENDLESS))
        typed = str(said.get("tokenizer_class")).removesuffix("Fast") in TYPED
        names = ["input_ids", *["token_type_ids"] * typed, "attention_mask"]
        self.model_input_names = said.get("model_input_names") or names
        texts = {name: said.get(f"{name}_token") for name in NAMED}
        self.named = {name: text["content"] if isinstance(text, dict) else text for name, text in texts.items() if text}
        self.first = dict(self.named)

    # ---- special tokens ----

    def __getattr__(self, name: str) -> Any:
        """pad_token, pad_token_id and so on; None for one that the tokenizer does not have."""
        kind, _, rest = name.partition("_")
        if kind not in NAMED or rest not in ("token", "token_id") or "named" not in vars(self):
            raise AttributeError(f"upwell's tokenizers have no {name}")
        text = self.named.get(kind)
        return text if rest == "token" or text is None else self.own.inner.token_to_id(text)

    def __setattr__(self, name: str, value: Any) -> None:
        """tokenizer.pad_token = tokenizer.eos_token, as scripts for decoders say it."""
        kind, _, rest = name.partition("_")
        if kind in NAMED and rest == "token":
            if value is None or self.own.inner.token_to_id(value) is None:
                raise SettingsError(f"{name} is {value!r}; expected a token that the vocabulary has")
            self.named[kind] = value
        elif kind in NAMED and rest == "token_id":
            setattr(self, f"{kind}_token", self.own.inner.id_to_token(value))
        else:
            super().__setattr__(name, value)

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of special tokens."""
        return sorted(self.own.special.values())

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        return self.own.vocab_size

    def __len__(self) -> int:
        return self.own.vocab_size

    def get_vocab(self) -> dict[str, int]:
        """Token -> id."""
        return self.own.inner.get_vocab(with_added_tokens=True)

    # ---- texts to ids ----

    def __call__(self, text: Any = None, text_pair: Any = None, **given: Any) -> Encoded:
        """One text, a list of texts, or words with is_split_into_words; with pairs where text_pair is given."""
        refuse("tokenizer", given, CALL)
        target = given.get("text_target")
        if text is not None and target is not None:
            given = given | {"text_target": None}
            found = self(text, text_pair, **given)
            found["labels"] = self(target, **given)["input_ids"]
            return found
        text = target if text is None else text
        words = bool(given.get("is_split_into_words"))
        single = not words and isinstance(text, str) or words and (not text or isinstance(text[0], str))
        firsts, seconds = ([text], [text_pair]) if single else (list(text), text_pair)
        pairs = firsts if text_pair is None else list(zip(firsts, seconds, strict=True))
        framed = given.get("add_special_tokens", True)
        found = self._encoder(given).encode_batch(pairs, is_pretokenized=words, add_special_tokens=framed)
        return self._columns(found, given, single)

    def _encoder(self, given: Mapping) -> tokenizers.Tokenizer:
        """The library's object that cuts and fills up as it is asked to."""
        inner = self.inner
        inner.no_truncation()
        inner.no_padding()
        longest, cut = given.get("max_length"), given.get("truncation") or False
        if cut not in (False, "do_not_truncate"):
            if cut not in CUTS:
                raise SettingsError(f"truncation is {cut!r}; upwell knows True, {', '.join(map(str, list(CUTS)[1:]))}")
            inner.enable_truncation(longest or self.model_max_length, stride=given.get("stride", 0), strategy=CUTS[cut])
        padding = given.get("padding") or False
        if padding not in (False, "do_not_pad"):
            fixed = (longest or self.model_max_length) if padding == "max_length" else None
            self._filling(inner, fixed, given.get("pad_to_multiple_of"))
        return inner

    def _filling(self, inner: tokenizers.Tokenizer, fixed: int | None, multiple: int | None) -> None:
        inner.enable_padding(direction=self.padding_side, pad_id=self._padding(), pad_token=self.pad_token,
                             length=fixed, pad_to_multiple_of=multiple)  # fmt: skip

    def _padding(self) -> int:
        """The id that fills rows up."""
        if self.pad_token_id is None:
            raise SettingsError(f"{self.name_or_path}: its tokenizer has no padding token; say which one it is, as in "
                                "tokenizer.pad_token = tokenizer.eos_token")  # fmt: skip
        return self.pad_token_id

    def _columns(self, found: list[tokenizers.Encoding], given: Mapping, single: bool) -> Encoded:
        """The columns that were asked for."""
        rows, origin = list(found), list(range(len(found)))
        if given.get("return_overflowing_tokens"):
            whole = [[one, *one.overflowing] for one in found]
            rows = [one for some in whole for one in some]
            origin = [number for number, some in enumerate(whole) for _ in some]
        ways: dict[str, Callable] = {"input_ids": lambda one: one.ids}
        if given.get("return_token_type_ids", "token_type_ids" in self.model_input_names):
            ways["token_type_ids"] = lambda one: one.type_ids
        if given.get("return_attention_mask", True) is not False:
            ways["attention_mask"] = lambda one: one.attention_mask
        if given.get("return_special_tokens_mask"):
            ways["special_tokens_mask"] = lambda one: one.special_tokens_mask
        if given.get("return_offsets_mapping"):
            ways["offset_mapping"] = lambda one: one.offsets
        if given.get("return_length"):
            ways["length"] = lambda one: len(one.ids)
        columns = {name: [way(one) for one in rows] for name, way in ways.items()}
        if given.get("return_overflowing_tokens"):
            columns["overflow_to_sample_mapping"] = origin
        kind = given.get("return_tensors")
        if single and kind is None and not given.get("return_overflowing_tokens"):
            columns = {name: values[0] for name, values in columns.items()}
        return Encoded({name: tensor(name, values, kind) for name, values in columns.items()}, rows, single)

    def pad(self, rows: Any, padding: Any = True, max_length: int | None = None, pad_to_multiple_of: int | None = None,
            return_tensors: str | None = None) -> Encoded:  # fmt: skip
        """Rows (a list of dicts, or a dict of lists) as wide as the longest of them; padding="max_length": as that."""
        columns = {name: [one[name] for one in rows] for name in rows[0]} if not isinstance(rows, Mapping) else rows
        columns = {name: list(values) for name, values in columns.items()}
        ids = [plain(one) for one in columns["input_ids"]]
        width = (max_length or self.model_max_length) if padding == "max_length" else max(map(len, ids))
        width = -(-width // pad_to_multiple_of) * pad_to_multiple_of if pad_to_multiple_of else width
        columns.setdefault("attention_mask", [[1] * len(one) for one in ids])
        empty = {"input_ids": self._padding(), "attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}
        for name in (name for name in empty if name in columns and padding):
            columns[name] = [self._padded(plain(one), width, empty[name]) for one in columns[name]]
        return Encoded({name: tensor(name, values, return_tensors) for name, values in columns.items()}, [], False)

    def _padded(self, values: list, width: int, empty: int) -> list:
        more = [empty] * (width - len(values))
        return [*values, *more] if self.padding_side == "right" else [*more, *values]

    def encode(self, text: str, text_pair: str | None = None, **given: Any) -> list[int]:
        """The ids of a text."""
        return self(text, text_pair, **given)["input_ids"]

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text."""
        return self.own.inner.encode(text, add_special_tokens=False).tokens

    # ---- ids to texts ----

    def decode(self, ids: Any, skip_special_tokens: bool = False) -> str:
        """The text of ids."""
        return self.own.inner.decode(plain(ids), skip_special_tokens=skip_special_tokens)

    def batch_decode(self, rows: Iterable, skip_special_tokens: bool = False) -> list[str]:
        """The texts of rows of ids."""
        return [self.decode(one, skip_special_tokens) for one in rows]

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """The pieces of ids."""
        return self.own.inner.id_to_token(ids) if isinstance(ids, int) else [self.own.inner.id_to_token(i)
                                                                            for i in plain(ids)]  # fmt: skip

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The ids of pieces."""
        get = self.own.inner.token_to_id
        return get(tokens) if isinstance(tokens, str) else [get(one) for one in tokens]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer's files; beside a model, what they say of it stays."""
        folder, name = Path(folder), "tokenizer_config.json"
        there = json.loads((folder / name).read_text(encoding="utf-8")) if (folder / name).is_file() else {}
        said = {f"{kind}_token": text for kind, text in self.named.items() if self.first.get(kind) != text}
        self.own.save(folder, said | {key: there[key] for key in OF_MODELS if key in there})
        if (folder / "upwell.yaml").is_file():
            hub.told_anew(folder, ["tokenizer.json", name])


def plain(values: Any) -> list[int]:
    """Numbers as a list."""
    return values.tolist() if hasattr(values, "tolist") else list(values)


def tensor(name: str, values: list, kind: str | None) -> Any:
    """A column as it was asked for: a list, or one of equal rows as a tensor of torch or numpy."""
    if kind is None:
        return values
    only("tokenizer", {"return_tensors": kind}, {"return_tensors": ("pt", "np")})
    try:
        found = np.array([plain(one) if hasattr(one, "__len__") else one for one in values], dtype=np.int64)
    except ValueError:
        raise DataError(f"{name}: the rows differ in length, so they are no tensor; ask for padding=True and "
                        "truncation=True") from None  # fmt: skip
    return torch.from_numpy(found) if kind == "pt" else found
