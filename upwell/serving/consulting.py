"""A question to a library, on the way that a request to write goes: slots, streams and faults are those of `writing`.

    consulted = Consulted(library, request, collection)
    return await answered(request, desk, consulted, turns, reply, stream)

A `Consulted` has the shape of a backend, as far as `writing` needs one: its pieces are the pieces of the answer. When
the last one is there it knows what the answer cites. Knows no OpenAI's objects but those of citations.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from upwell.answering import Answer, Citation, Hit, Passage
from upwell.generation.settings import Piece, Settings, Usage
from upwell.serving import writing
from upwell.serving.answers import Reply
from upwell.serving.desk import Desk
from upwell.serving.library import Library
from upwell.serving.records import Common, same
from upwell.serving.refusals import Refusal

LONGEST = 10_000  # characters of a question
LONGEST_TURN = 20_000  # characters of what was said before
TURNS = 16  # turns before the question that are read
NO_TOKENS = Usage(0, 0)  # what is read and written is counted in characters here, if at all
OTHERWISE = {"continue_final_message": (), "ignore_eos": (), "include": ([],), "logit_bias": ({},), "logprobs": (),
             "min_tokens": (0,), "n": (1,), "prompt_logprobs": (), "response_format": (), "return_token_ids": (),
             "stop": ([],), "stop_token_ids": ([],), "strategy": ("sample", "greedy"), "structured_outputs": (),
             "text": (), "tool_choice": ("none", "auto"), "tools": ([],), "top_logprobs": (),
             "use_beam_search": ()}  # fmt: skip


class Consulted:
    """One question to a library by one client; `hits` and `answer` are there as they are found."""

    def __init__(self, library: Library, request: Request, collection: str | None = None):
        self.library, self.name = library, library.name
        self.collections = library.chosen(request.scope["sees"], collection)
        self.base = str(request.base_url)
        self.hits: Sequence[Hit] = ()
        self.answer: Answer | None = None

    def generate(self, turns: Sequence[dict], settings: Settings) -> Iterator[Piece]:
        """The answer to the last turn; an empty piece says that the passages are found."""
        *before, question = turns
        for event in self.library.asker.events(question["content"], before, self.collections):
            if isinstance(event, Answer):
                self.answer, self.hits = event, event.hits
                yield Piece(finish="stop", usage=NO_TOKENS)
            elif isinstance(event, str):
                yield Piece(event)
            else:
                self.hits = event
                yield Piece()

    # ---- what it found, as JSON ----

    def cited(self) -> list[dict]:
        """What the answer cites, in OpenAI's words."""
        return [{"start_index": one.first, "end_index": one.last, "url": self.library.url(self.base, one),
                 "title": one.title or one.source} for one in self.citations]  # fmt: skip

    @property
    def citations(self) -> Sequence[Citation]:
        """What the answer cites; nothing before it is there."""
        return self.answer.citations if self.answer else ()

    def told_citations(self) -> list[dict]:
        """What the answer cites, with all that is known of it."""
        return [self.place(one) | {"first": one.first, "last": one.last} for one in self.citations]

    def told_passages(self) -> list[dict]:
        """The passages that were found, best first."""
        return [self.place(hit.passage) | {"score": rounded(hit.score), "cosine": rounded(hit.cosine),
                                           "lexical": rounded(hit.lexical)} for hit in self.hits]  # fmt: skip

    def place(self, one: Citation | Passage) -> dict[str, Any]:
        """A span of a document, and where it is shown."""
        return {"document": one.document, "source": one.source, "title": one.title, "heading": one.heading,
                "page": one.page, "start": one.start, "end": one.end, "text": one.text,
                "url": self.library.url(self.base, one)}  # fmt: skip


async def chatted(request: Request, desk: Desk, library: Library, asked: Common, messages: Sequence[dict],
                  reply: Reply) -> Response:  # fmt: skip
    """The answer to the last message of a chat that names the library as its model."""
    check(asked)
    return await answered(request, desk, Consulted(library, request), turns_of(messages), reply, bool(asked.stream))


async def answered(request: Request, desk: Desk, consulted: Consulted, turns: Sequence[dict], reply: Reply,
                   stream: bool) -> Response:  # fmt: skip
    """The answer, whole or streamed, with a slot; what it cites goes into the reply."""
    reply.cited = consulted.cited
    task = writing.Task(consulted.name, consulted, [turns], Settings())
    return await writing.answered(request, desk, task, reply, stream)


def turns_of(messages: Sequence[dict]) -> list[dict]:
    """Of a chat the last turns of the user and the assistant; a 400 where the last one is no question, or too long.

    What a system message says changes nothing: the documents are what is answered from.
    """
    said = [one for one in messages if one["role"] in ("user", "assistant") and one["content"].strip()]
    if not said or messages[-1] is not said[-1] or said[-1]["role"] != "user":
        raise Refusal(400, "The last message must be the user's question, with some words in it.", "messages",
                      "invalid_value")  # fmt: skip
    said = said[-TURNS - 1 :]
    for number, one in enumerate(reversed(said)):
        found, most = len(one["content"]), LONGEST_TURN if number else LONGEST
        if found > most:
            what = "A message before the question" if number else "The question"
            raise Refusal(400, f"{what} has {found} characters; {most} are the most.", "messages", "invalid_value")
    return [{"role": one["role"], "content": one["content"]} for one in said]


def check(asked: Common) -> None:
    """A 400 for a field that would change how a model writes: here documents answer. A temperature changes nothing."""
    for field in OTHERWISE:
        if field in asked.model_fields_set and not harmless(field, getattr(asked, field)):
            raise Refusal(400, f"{field} is not for answers from documents; leave it out.", field,
                          "unsupported_parameter")  # fmt: skip


def harmless(field: str, value: Any) -> bool:
    """Whether a field says what is so anyway: nothing, one text, plain text, no tools."""
    value = getattr(value, "format", None) if field == "text" else value
    plain = value is None or value is False or getattr(value, "type", None) == "text"
    return plain or any(same(value, usual) for usual in OTHERWISE[field])


def rounded(value: float) -> float:
    """A score as JSON has it."""
    return round(float(value), 4)
