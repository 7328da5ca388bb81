"""The config of a model with another head, and whether model and data fit each other. It knows no objective."""

import re
from typing import TYPE_CHECKING

from upwell import plugs
from upwell.errors import CheckpointError, DataError, SettingsError

if TYPE_CHECKING:
    from upwell.model.config import Config

    from . import Part


def of_class(config: "Config", ending: str) -> "Config":
    """The Config with the head of its family's class that ends so ("ForMaskedLM"); SettingsError where it has none."""
    from upwell.model import hub

    keys = plugs.find("model/families", config.family).to_hf(config)
    prefix = re.match("(.*?)(?:For|LMHead|Encoder|MT)?(?:Model|For|$)", keys["architectures"][0])[1]
    try:
        found = hub.config_of(keys | {"architectures": [prefix + ending]}, family=config.family)
    except CheckpointError as error:
        raise SettingsError(f"a {config.kind} model has no head for this objective ({error}); choose another "
                            "model") from None  # fmt: skip
    return config.with_(head=found.head, pooler=found.pooler)


def check(config: "Config", part: "Part", shapes: tuple[str, ...], objective: str) -> None:
    """SettingsError for a model of a shape that cannot learn this, or for texts that are longer than its positions;
    DataError for a tokenizer with more tokens than the model."""
    if config.shape not in shapes:
        raise SettingsError(f"the objective {objective} wants a model of the shape {' or '.join(shapes)}; this "
                            f"{config.kind} model has the shape {config.shape}")  # fmt: skip
    if part.tokenizer is None:
        raise DataError(f"the objective {objective} needs the tokenizer of its tokens; name a prepared folder with one")
    check_data(config, part)


def check_data(config: "Config", part: "Part") -> None:
    """SettingsError for texts longer than the positions, DataError for a tokenizer with more tokens than the model."""
    if config.positions == "learned" and part.context > config.context:
        raise SettingsError(f"found texts of {part.context:,} tokens, but this {config.kind} model has positions for "
                            f"{config.context:,}; set a context of at most {config.context:,}")  # fmt: skip
    if part.tokenizer is not None and part.tokenizer.vocab_size > config.vocab:
        raise DataError(f"the tokenizer has {part.tokenizer.vocab_size:,} tokens and the model {config.vocab:,}; "
                        "prepare the text with the model's own tokenizer")  # fmt: skip
