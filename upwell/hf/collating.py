"""Collators: rows -> one batch of tensors, under the names that the usual scripts take.

A Trainer reads rows without padding and needs none of them but DataCollatorForLanguageModeling, which masks words or
copies ids to labels; the others are for loops of one's own. They draw from torch's global random numbers, which a
Trainer sets for each batch. They know no model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import SettingsError
from ..tokens.batches import IGNORE
from .tokenizing import Tokenizer, plain

READ = ("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask")
PADS = ("DataCollatorWithPadding", "DataCollatorForTokenClassification", "DataCollatorForSeq2Seq",
        "DefaultDataCollator")  # fmt: skip


def only_pads(collator: Callable | None) -> bool:
    """Whether a collator, ours or transformers', does nothing but fill rows up."""
    names = (type(collator).__name__, getattr(collator, "__name__", ""))
    return collator is None or names[0] in PADS or names[1] == "default_data_collator"


def default_data_collator(rows: Sequence[dict]) -> dict[str, Tensor]:
    """Rows of equal lengths as tensors; `label` becomes `labels`."""
    names = {name: "labels" if name in ("label", "label_ids") else name for name in rows[0]}
    kept = [name for name in names if not isinstance(rows[0][name], str) and rows[0][name] is not None]
    return {names[name]: torch.as_tensor([plain_or_number(one[name]) for one in rows]) for name in kept}


def plain_or_number(value: Any) -> Any:
    """A list for a sequence, a number for a number."""
    return plain(value) if hasattr(value, "__len__") else value.item() if hasattr(value, "item") else value


@dataclass
class DataCollatorWithPadding:
    """Fills rows up to the longest of the batch."""

    tokenizer: Tokenizer
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, rows: Sequence[dict]) -> dict[str, Tensor]:
        read = [{name: one[name] for name in READ if name in one} for one in rows]
        others = [{name: one[name] for name in one if name not in READ} for one in rows]
        batch = self.tokenizer.pad(read, self.padding, self.max_length, self.pad_to_multiple_of, "pt")
        return dict(batch) | default_data_collator(others)


@dataclass
class DataCollatorForTokenClassification(DataCollatorWithPadding):
    """The same, and a label for each token is filled up, too."""

    label_pad_token_id: int = IGNORE

    def __call__(self, rows: Sequence[dict]) -> dict[str, Tensor]:
        batch = super().__call__([{name: one[name] for name in one if name not in ("labels", "label")} for one in rows])
        name = "labels" if "labels" in rows[0] else "label"
        labels = [plain(one[name]) for one in rows]
        return batch | {"labels": self.labels(labels, batch["input_ids"].shape[1])}

    def labels(self, labels: list[list[int]], width: int) -> Tensor:
        """(B, width); on the side where the ids are filled up."""
        left = self.tokenizer.padding_side == "left"
        more = [[self.label_pad_token_id] * (width - len(one)) for one in labels]
        return torch.tensor([[*b, *a] if left else [*a, *b] for a, b in zip(labels, more, strict=True)])


@dataclass
class DataCollatorForSeq2Seq(DataCollatorForTokenClassification):
    """The same for labels that have a length of their own."""

    model: Any = None

    def __init__(self, tokenizer: Tokenizer, model: Any = None, padding: Any = True, max_length: int | None = None,
                 pad_to_multiple_of: int | None = None, label_pad_token_id: int = IGNORE,
                 return_tensors: str = "pt"):  # fmt: skip
        super().__init__(tokenizer, padding, max_length, pad_to_multiple_of, return_tensors, label_pad_token_id)
        self.model = model

    def labels(self, labels: list[list[int]], width: int) -> Tensor:
        """(B, the longest)."""
        return super().labels(labels, max(map(len, labels)))


@dataclass
class DataCollatorForLanguageModeling:
    """Hides words of a text that are then asked (mlm), or asks for every next token. Devlin et al. 2019."""

    tokenizer: Tokenizer
    mlm: bool = True
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __post_init__(self):
        if self.mlm and self.tokenizer.mask_token_id is None:
            raise SettingsError("this tokenizer has no mask token to hide words with; expected mlm=False")

    def __call__(self, rows: Sequence[dict]) -> dict[str, Tensor]:
        kept = [{name: one[name] for name in READ if name in one} for one in rows]
        batch = dict(self.tokenizer.pad(kept, pad_to_multiple_of=self.pad_to_multiple_of, return_tensors="pt"))
        special = batch.pop("special_tokens_mask", None)
        if self.mlm:
            batch["input_ids"], batch["labels"] = self.masked(batch["input_ids"], special)
            return batch
        labels, pad = batch["input_ids"].clone(), self.tokenizer.pad_token_id
        batch["labels"] = labels if pad is None else labels.masked_fill(labels == pad, IGNORE)
        return batch

    def masked(self, ids: Tensor, special: Tensor | None) -> tuple[Tensor, Tensor]:
        """(ids with some hidden, the hidden ones as labels); special tokens are never asked."""
        if special is None:
            special = torch.isin(ids, torch.tensor(self.tokenizer.all_special_ids))
        asked = (torch.rand(ids.shape) < self.mlm_probability) & ~special.bool()
        fate = torch.rand(ids.shape)
        hidden = ids.masked_fill(asked & (fate < self.mask_replace_prob), self.tokenizer.mask_token_id)
        other = asked & (fate >= self.mask_replace_prob) & (fate < self.mask_replace_prob + self.random_replace_prob)
        hidden = torch.where(other, torch.randint(len(self.tokenizer), ids.shape), hidden)
        return hidden, ids.masked_fill(~asked, IGNORE)
