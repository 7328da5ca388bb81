"""Next token: each token is predicted from those before it in its own document."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from upwell.errors import DataError
from upwell.text import Document

from . import Example, Loss


@dataclass(frozen=True)
class Settings:
    """Nothing to choose yet."""


def loss(model, batch, settings: Settings) -> Loss:
    """Summed cross-entropy in nats over the targets of a Batch (ids, targets, documents); -100 asks nothing.

    batch.documents may be None where a row is one document.
    """
    from . import _entropy  # torch is needed only here

    model.config.check_next_token()
    hidden = model.hidden(batch.ids, documents=batch.documents)
    total = _entropy.summed(hidden, model.output_weight, batch.targets, model.config.logit_cap)
    return Loss(total, int((batch.targets != -100).sum()))


def examples(documents: Iterable[Document], tokenizer, template, settings: Settings) -> Iterator[Example]:
    """The tokens of each document, and which of them are learnt.

    Plain text begins with the end-of-text token, which is only read, and closes with it, which is learnt; so are
    questions, labels and pairs, whose text is their parts one below the other. Of a chat, written by the chat
    template, what the assistant says is learnt. DataError names a chat that the template refuses.
    """
    for document in documents:
        if document.fields and document.fields["task"] == "chat":
            yield Example(*_chat(document, tokenizer, template), document.source)
        else:
            ids = [tokenizer.end, *tokenizer.encode(document.text), tokenizer.end]
            yield Example(ids, [False] + [True] * (len(ids) - 1), document.source)


def _chat(document: Document, tokenizer, template) -> tuple[list[int], list[bool]]:
    if template is None:
        raise DataError(f"{document.source} is a chat, and the tokenizer's folder has no chat template to write it "
                        "in; name a --tokenizer with a chat_template.jinja beside it")  # fmt: skip
    try:
        return template.ids_and_mask(document.fields["messages"], tokenizer)
    except DataError as error:
        raise DataError(f"{document.source}: {error}") from None
