"""More rows for a vocabulary that has grown: a new token begins as the mean of the tokens that its text was cut into.

    larger = resize(checkpoint, tokenizer, parts)       # parts: new id -> old ids, as tokens.extend gives them

Input and output rows (tied or not) and the biases of the output grow; every other weight and every old row keep their
values, so the logits of old ids do not change. Works on every family. Source of the mean over all rows: Hewitt 2021,
"Initializing new word embeddings for pretrained language models"; over pieces: Gee et al. 2022, "Fast vocabulary
transfer". It knows no text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..tokens.tokenizer import Tokenizer
from .hub import Checkpoint
from .quantize import Quantized
from .transformer import Transformer

WORDS = ("language", "masked", "pretrain")  # heads that have a row for each token


def resize(checkpoint: Checkpoint, tokenizer: Tokenizer, parts: Mapping[int, Sequence[int]]) -> Checkpoint:
    """The checkpoint with `tokenizer` and rows for all its ids, at least as many as it had.

    A new id without parts (a special token, a character that was unknown) begins as the mean of all old rows.
    Raises CheckpointError for a model with rounded weights, and where parts name ids that are not there.
    """
    if isinstance(checkpoint.model, Quantized):
        raise CheckpointError("this model's weights are rounded to int8 or int4; give more tokens to the model that it "
                              "was made from, then round that one.")
    old, config = checkpoint.tokenizer.vocab_size, checkpoint.config
    size = max(config.vocab, tokenizer.vocab_size)
    _check(parts, old, tokenizer.vocab_size, config.vocab)
    larger = config.with_(vocab=size)
    state = dict(checkpoint.model.state_dict())
    output = ("head.weight", "head.bias", "head_bias") if config.head.kind in WORDS else ()
    for name in ("embed.weight", *output):
        if name in state:
            state[name] = grown(state[name], size, old, parts)
    with torch.device("meta"):
        model = Transformer(larger)
    model.load_state_dict(state, assign=True)
    return replace(checkpoint, model=model.train(checkpoint.model.training), tokenizer=tokenizer, config=larger)


def grown(rows: Tensor, size: int, old: int, parts: Mapping[int, Sequence[int]]) -> Tensor:
    """rows (V, ...) -> (size, ...): row i of parts is the mean of the rows parts[i], or of the first `old` rows."""
    mean = rows[:old].float().mean(0)
    more = mean.expand(size - len(rows), *rows.shape[1:])
    result = torch.cat([rows, more.to(rows.dtype)]).detach()
    for id, ids in parts.items():
        result[id] = (rows[list(ids)].float().mean(0) if ids else mean).to(rows.dtype)
    return result


def _check(parts: Mapping[int, Sequence[int]], old: int, new: int, vocab: int) -> None:
    if old > vocab:
        raise CheckpointError(f"the model has {vocab:,} rows for {old:,} tokens: it has another tokenizer than this.")
    wrong = [id for id in parts if not old <= id < new]
    wrong += [part for ids in parts.values() for part in ids if not 0 <= part < old]
    if wrong:
        raise CheckpointError(f"found the id {wrong[0]}, expected new ids {old:,} to {new - 1:,} made of older ones; "
                              "extend the tokenizer that the model has.")
