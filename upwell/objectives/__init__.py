"""WHAT TO LEARN: one objective a file; it turns documents into batches, and a model and a batch into summed losses.

    Settings                                  a frozen dataclass, a docstring under each field
    SHAPES                                    which models can learn it: of "decoder", "encoder", "encoder-decoder"
    TERMS                                     names of the K terms of its loss; the loss of a step is the sum over k of
                                              total_k / count_k, both over the whole step, however it is cut
    fitted(config, part, settings) -> Config  the model's config with the head that the objective needs
    samples(part, rows, seed, settings)       a sampler: .batch(first, size), .samples(numbers), .samples_per_epoch;
                                              sample i is a pure function of (seed, i);
                                              .whole(size) -> every held-out item once, in order, always the same
    counts(batch, settings) -> K ints         from the batch alone
    loss(model, batch, settings) -> (K,)      summed nats
    examples(documents, tokenizer, template, settings) -> Iterator[Example]   for `upwell prepare --show x`

    optional: TOGETHER = True                 its loss couples the rows of a step, which is then never cut
              tokens(batch) -> int            real tokens, where they are not those of the batch's masks
              scored(model, batch, part, settings) -> {name: (above, below)}    measures of held-out rows beside the
                                              loss: tensors (rows,) whose sums are divided, as words right and asked
              answers(model, part, rows, settings) -> Iterator[(text, right texts)]    what a model says to questions
              vectors(model, batch, settings) -> (left (B, D), right (B + K, D)) and names(batch) -> (B, 2), (K,): what
                                              is to be found among all of a part (evaluation.recall)
              a sampler's .cut, .dropped and .lost: how many texts lost their ends, are left out, ask for no answer
                                              though they have one; a run says so at its start

A batch is a NamedTuple of tensors (or None) whose first dimension is the row. An objective knows no file, no optimizer,
no step and no rank.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from upwell.model.config import Config
    from upwell.text import Document
    from upwell.text.chat import Template
    from upwell.tokens.store import Store
    from upwell.tokens.tokenizer import Tokenizer


class Part(NamedTuple):
    """What there is to learn from: the learnt or the held-out part of a prepared folder."""

    store: "Store"
    """Its tokens."""
    documents: "Callable[[], Iterator[Document]] | None" = None
    """Gives its documents, in order, from the first one each time."""
    tokenizer: "Tokenizer | None" = None
    template: "Template | None" = None
    """How a chat is written, where the tokenizer's folder says it."""
    context: int = 256
    """Tokens in a row."""
    cache: Path | None = None
    """A folder in which derived arrays may be kept under the hash of what they were made from."""
    config: "Config | None" = None
    """The model's, as `fitted` gave it: its shape and special ids say how texts are framed."""


class Example(NamedTuple):
    """What a model is asked of one document, or of one part of it.

    ids: tokens · learnt: as long, True for a token that is a target, False for one that is only read · source: of the
    document · part: what these tokens are where an objective has several rows for one document ("chosen", "rejected")
    """

    ids: list[int]
    learnt: list[bool]
    source: str = ""
    part: str = ""
