"""POST /v1/completions: a text, or token ids, and what the model writes behind them."""

import statistics
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Field

from upwell.generation.settings import Piece
from upwell.serving import writing
from upwell.serving.answers import Reply, Text, finish, floor
from upwell.serving.body import STREAMS, body_of, read_json
from upwell.serving.desk import Desk
from upwell.serving.records import Elsewhere, Ids, Texts, Writing, understood
from upwell.serving.refusals import Refusal


class CompletionRequest(Writing):
    """The body of /v1/completions."""

    prompt: str | Texts | Ids | list[Ids] = Field(
        "", description="a text, a list of texts, a list of token ids, or a list of such lists"
    )
    max_tokens: int | None = Field(None, ge=0, le=2**31 - 1, description="0 only with echo")
    best_of: int | None = Field(None, ge=1, le=8, description="texts that are written, of which the n likeliest come")
    echo: bool | None = Field(None, description="the prompt comes before the text")
    logprobs: int | None = Field(None, ge=0, le=20, description="likeliest tokens to be told at each place")
    suffix: Elsewhere = None

    def prompts(self) -> list[str | list[int]]:
        """One entry a text to be continued."""
        if isinstance(self.prompt, str) or (self.prompt and isinstance(self.prompt[0], int)):
            return [self.prompt]
        return list(self.prompt)

    def top(self) -> int | None:
        return self.logprobs

    def copies(self) -> int:
        return max(self.n or 1, self.best_of or 1)


RECORDS = (CompletionRequest,)


def add(service: FastAPI, desk: Desk) -> None:
    """The route."""

    @service.post("/v1/completions", openapi_extra=body_of(CompletionRequest), responses=STREAMS)
    async def completions(request: Request) -> Response:
        asked = understood(CompletionRequest, await read_json(request))
        prompts, copies = asked.prompts(), asked.copies()
        writing.check_count(prompts, copies)
        check_together(asked)
        name, backend = desk.find(asked.model)
        for field in ("logprobs", "echo", "prompt_logprobs", "return_token_ids"):
            if getattr(asked, field) is not None and getattr(asked, field) is not False:  # 0 is a number
                writing.check_tellable(backend, name, field)
        settings = writing.settings_of(asked)
        tops = [asked.logprobs if asked.echo else None, asked.prompt_logprobs]
        told = max((number for number in tops if number is not None), default=None)
        task = writing.Task(name, backend, prompts, settings, copies, asked.most(), bool(asked.echo), told,
                            request.scope.get("client_name", ""))  # fmt: skip
        spell = getattr(getattr(backend, "tokenizer", None), "bytes_of", None)
        reply = CompletionReply(asked, name, len(prompts) * copies, copies, spell, bool(asked.echo) or told is not None)
        return await writing.answered(request, desk, task, reply, bool(asked.stream))


def check_together(asked: CompletionRequest) -> None:
    """What goes with what."""
    if asked.max_tokens == 0 and not asked.echo and asked.prompt_logprobs is None:
        raise Refusal(400, "max_tokens: 0 asks for nothing; give echo beside it, or ask for 1 or more.", "max_tokens",
                      "invalid_value")  # fmt: skip
    if asked.best_of is not None and asked.best_of < (asked.n or 1):
        raise Refusal(400, f"best_of: found {asked.best_of}, expected at least n, which is {asked.n}.", "best_of",
                      "invalid_value")  # fmt: skip
    if asked.stream and asked.copies() > (asked.n or 1):
        raise Refusal(400, "best_of: which texts are best is known only at the end; ask without stream.", "best_of",
                      "invalid_value")  # fmt: skip


class CompletionReply(Reply):
    """What /v1/completions answers."""

    prefix = "cmpl-"

    def __init__(self, asked: CompletionRequest, *of_reply):
        super().__init__(*of_reply)
        self.asked = asked
        self.offsets: dict[int, int] = {}

    def of_prompt(self, index: int, piece: Piece) -> list[dict]:
        return [self.chunk(index, piece)] if self.asked.echo else []

    def events(self, index: int, piece: Piece, first: bool) -> list[dict]:
        return [self.chunk(index, piece)] if piece.text or piece.finish or piece.tokens or first else []

    def chunk(self, index: int, piece: Piece) -> dict:
        """A piece as an event."""
        choice = {"index": index, "text": piece.text, "logprobs": None, "finish_reason": finish(piece.finish)}
        if self.asked.logprobs is not None:
            choice["logprobs"] = self.table(index, piece.tokens, piece.logprobs, piece.tops)
        usage = {"usage": None} if self.asked.wants_usage() else {}
        ids = {"token_ids": list(piece.tokens)} if self.asked.return_token_ids else {}
        return self.head("text_completion") | {"choices": [choice | ids]} | usage

    def closing(self) -> list[dict]:
        if not self.asked.wants_usage():
            return []
        return [self.head("text_completion") | {"choices": [], "usage": self.counts()} | self.timings()]

    def whole(self) -> dict:
        self.offsets = {}
        chosen = [self.choice(number, self.texts[index]) for number, index in enumerate(self.chosen())]
        return self.head("text_completion") | {"choices": chosen, "usage": self.counts()} | self.timings()

    def chosen(self) -> list[int]:
        """The texts that are given, by their likelihood where more were written than are wanted."""
        n = self.asked.n or 1
        if n == self.copies:
            return self.found(range(self.count))
        groups = [range(first, first + self.copies) for first in range(0, self.count, self.copies)]
        likely = [sorted(self.found(group), key=lambda one: -mean(self.texts[one].logprobs)) for group in groups]
        return [index for group in likely for index in group[:n]]

    def choice(self, number: int, text: Text) -> dict:
        """One text, with its prompt before it where that was asked for."""
        echo = text.prompt if self.asked.echo and text.prompt is not None else None
        choice = {"index": number, "text": (echo.text if echo else "") + text.text, "logprobs": None,
                  "finish_reason": finish(text.finish)}  # fmt: skip
        if self.asked.logprobs is not None:
            before = (echo.tokens, echo.logprobs, echo.tops) if echo else ((), (), ())
            choice["logprobs"] = self.table(number, [*before[0], *text.tokens], [*before[1], *text.logprobs],
                                            [*before[2], *text.tops])  # fmt: skip
        if self.asked.prompt_logprobs is not None and text.prompt is not None:
            choice["prompt_logprobs"] = self.of_each(text.prompt)
        if self.asked.return_token_ids and text.prompt is not None:
            choice["prompt_token_ids"] = list(text.prompt.tokens)
        return choice | self.ids(text, bool(self.asked.return_token_ids))

    def table(self, index: int, tokens: Sequence[int], logprobs: Sequence, tops: Sequence) -> dict:
        """Log-probabilities in the columns of the older endpoint."""
        spelled, offsets, at = [self.name(id) for id in tokens], [], self.offsets.get(index, 0)
        for id in tokens:
            offsets.append(at)
            at += len(self.spell(id).decode("utf-8", "ignore"))
        self.offsets[index] = at
        tops = tops or [()] * len(tokens)
        told = [{self.name(id): floor(value) for id, value in top} if top else None for top in tops]
        own = [(table if table is None or not self.asked.logprobs else table | {name: floor(value)})
               for table, name, value in zip(told, spelled, logprobs, strict=True)]  # fmt: skip
        return {"tokens": spelled, "token_logprobs": [floor(value) for value in logprobs], "top_logprobs": own,
                "text_offset": offsets}  # fmt: skip

    def name(self, id: int) -> str:
        """A token as text; a part of a character as its bytes, as OpenAI writes them."""
        raw = self.spell(id)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def of_each(self, prompt: Piece) -> list[dict | None]:
        """vLLM's `prompt_logprobs`: for each token an object by ids; None where nothing stands before it."""
        told = []
        for id, logprob, top in zip(prompt.tokens, prompt.logprobs, prompt.tops, strict=True):
            ranks = {one: rank for rank, (one, _) in enumerate(top, start=1)}
            every = dict(top) | {id: logprob}
            told.append(None if logprob is None else {
                str(one): {"logprob": floor(value), "rank": ranks.get(one), "decoded_token": self.name(one)}
                for one, value in every.items()})  # fmt: skip
        return told


def mean(logprobs: Sequence[float]) -> float:
    """How likely a text is a token; of an empty one nothing is known."""
    return statistics.fmean(logprobs) if logprobs else float("-inf")
