"""POST /v1/responses: OpenAI's newer way to ask, with typed events. Nothing is stored: all that was said is sent."""

import secrets
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Field

from upwell.generation.settings import Piece
from upwell.serving import consulting, writing
from upwell.serving.answers import Reply, Text
from upwell.serving.body import STREAMS, body_of, read_json
from upwell.serving.desk import Desk
from upwell.serving.endpoints.chat import TOOLS, Chosen, Function, Name, Tools, arguments, no_tools
from upwell.serving.endpoints.chat import Choice as ChatChoice
from upwell.serving.endpoints.chat import Tool as ChatTool
from upwell.serving.records import Biases, Closed, Common, Elsewhere, Inert, Schema, Writing, understood
from upwell.serving.refusals import Refusal
from upwell.text.calls import Call
from upwell.text.chat import Chat


class Part(Closed):
    """A piece of text in a message."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: Inert = None
    logprobs: Inert = None


class MessageItem(Closed):
    """A turn."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    id: Inert = None
    status: Inert = None
    phase: Inert = None

    def plain(self) -> dict[str, Any]:
        """As chats have it."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class CallItem(Closed):
    """A function that was called."""

    type: Literal["function_call"]
    call_id: str
    name: Name
    arguments: str
    id: Inert = None
    status: Inert = None

    def plain(self) -> dict[str, Any]:
        """As chats have it."""
        function = {"name": self.name, "arguments": arguments(self.arguments)}
        return {"role": "assistant", "content": "", "tool_calls": [
            {"id": self.call_id, "type": "function", "function": function}]}  # fmt: skip


class ResultItem(Closed):
    """What a function gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[Part]
    id: Inert = None
    status: Inert = None

    def plain(self) -> dict[str, Any]:
        """As chats have it."""
        output = self.output if isinstance(self.output, str) else "".join(part.text for part in self.output)
        return {"role": "tool", "tool_call_id": self.call_id, "content": output}


class FunctionTool(Closed):
    """A function that the model may call; here its fields stand beside the type."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: Inert = None


class FunctionChoice(Closed):
    """One function that must be called."""

    type: Literal["function"]
    name: Name


class TextFormat(Closed):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: Name | None = None
    schema_: Schema | None = Field(None, alias="schema")
    description: Inert = None
    strict: Inert = None


class TextSettings(Closed):
    """About the text."""

    format: TextFormat | None = None
    verbosity: Inert = None


class ResponseRequest(Common):
    """The body of /v1/responses."""

    model: str | None = Field(None, description="an id of /v1/models; default: the first that writes")
    input: str | list[MessageItem | CallItem | ResultItem] = Field(
        description="a text, or a list of messages, function_call and function_call_output items"
    )
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_logprobs: int | None = Field(None, ge=0, le=20)
    logit_bias: Biases | None = None
    tools: list[FunctionTool] | None = Field(None, max_length=TOOLS)
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = Field(
        None, description="none, auto, required, or {type: function, name}"
    )
    text: TextSettings | None = None
    stream: bool | None = False
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = None

    parallel_tool_calls: Inert = None
    reasoning: Inert = None
    stream_options: Inert = None
    max_tool_calls: Inert = None
    previous_response_id: Elsewhere = None
    conversation: Elsewhere = None
    background: Elsewhere = None
    truncation: Elsewhere = None
    prompt: Elsewhere = None

    def writing(self) -> Writing:
        """What it says of how to write, in the words of the other endpoints."""
        return Asked(model=self.model, temperature=self.temperature, top_p=self.top_p, logit_bias=self.logit_bias,
                     max_tokens=self.max_output_tokens, told=self.told())  # fmt: skip

    def told(self) -> int | None:
        """How many of the likeliest tokens are told; None: no log-probabilities are wanted."""
        wanted = "message.output_text.logprobs" in (self.include or ())
        return (self.top_logprobs or 0) if wanted or self.top_logprobs is not None else None

    def shape(self) -> dict:
        """The grammar of the text's format."""
        format = self.text.format if self.text else None
        return writing.formed(format.type, format.schema_, "text") if format else {}

    def conversation_with(self, tools: Tools) -> Chat:
        """All that was said, as backends read it."""
        said = [{"role": "system", "content": self.instructions}] if self.instructions else []
        items = [MessageItem(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        if not items:
            raise Refusal(400, "input: an empty list; give at least one message.", "input", "invalid_value")
        return Chat([*said, *(item.plain() for item in items)], tools.told)


class Asked(Writing):
    """How to write, for one text."""

    told: int | None = None

    def top(self) -> int | None:
        return self.told


RECORDS = (ResponseRequest,)


def add(service: FastAPI, desk: Desk) -> None:
    """The route."""

    @service.post("/v1/responses", openapi_extra=body_of(ResponseRequest), responses=STREAMS)
    async def responses(request: Request) -> Response:
        asked = understood(ResponseRequest, await read_json(request))
        if (library := desk.library(asked.model, request.scope["sees"])) is not None:
            messages, reply = asked.conversation_with(no_tools()), ResponseReply(asked, no_tools(), library.name, 1)
            return await consulting.chatted(request, desk, library, asked, messages, reply)
        name, backend = desk.find(asked.model)
        if asked.told() is not None:
            writing.check_tellable(backend, name, "top_logprobs")
        tools = tools_of(asked)
        settings = writing.settings_of(asked.writing(), writing.CHAT_LENGTH, tools.shape() or asked.shape())
        task = writing.Task(name, backend, [asked.conversation_with(tools)], settings, 1, asked.max_output_tokens,
                            client=request.scope.get("client_name", ""))  # fmt: skip
        spell = getattr(getattr(backend, "tokenizer", None), "bytes_of", None)
        reply = ResponseReply(asked, tools, name, 1, 1, spell)
        return await writing.answered(request, desk, task, reply, bool(asked.stream))


def tools_of(asked: ResponseRequest) -> Tools:
    """The functions in the words of chats."""
    functions = [Function(**tool.model_dump(exclude={"type"})) for tool in asked.tools or ()]
    tools = [ChatTool(type="function", function=function) for function in functions]
    choice = asked.tool_choice
    if isinstance(choice, FunctionChoice):
        choice = ChatChoice(type="function", function=Chosen(name=choice.name))
    return Tools(tools, choice)


class ResponseReply(Reply):
    """What /v1/responses answers: one message, and the functions that are called."""

    prefix = "resp_"
    ends_in_done = False

    def __init__(self, asked: ResponseRequest, tools: Tools, *of_reply):
        super().__init__(*of_reply)
        self.asked, self.split = asked, tools.split()
        self.message_id, self.number, self.open = f"msg_{secrets.token_hex(12)}", 0, False
        self.said: list[str] = []
        self.calls: list[dict] = []

    # ---- events ----

    def events(self, index: int, piece: Piece, first: bool) -> list[dict]:
        made = []
        if first:
            made += [self.event("response.created", response=self.object("in_progress")),
                     self.event("response.in_progress", response=self.object("in_progress"))]  # fmt: skip
        text, calls = self.divided(piece)
        if text and not self.open:
            self.open = True
            made += [self.event("response.output_item.added", output_index=0, item=self.message("in_progress", "")),
                     self.event("response.content_part.added", **self.place(), part=self.part(""))]  # fmt: skip
        if text:
            self.said.append(text)
            told = self.likely(piece.tokens, piece.logprobs, piece.tops) if self.asked.told() is not None else []
            made.append(self.event("response.output_text.delta", **self.place(), delta=text, logprobs=told))
        self.calls += [call_item(call) for call in calls]
        return made

    def divided(self, piece: Piece) -> tuple[str, list[Call]]:
        """A piece as text to show and calls."""
        if self.split is None:
            return piece.text, []
        text, calls = self.split.push(piece.text)
        if piece.finish:
            more, rest = self.split.close()
            return text + more, calls + rest
        return text, calls

    def closing(self) -> list[dict]:
        made, text = [], "".join(self.said)
        if not self.open and not self.calls:  # an answer of nothing is a message all the same
            self.open = True
            made += [self.event("response.output_item.added", output_index=0, item=self.message("in_progress", "")),
                     self.event("response.content_part.added", **self.place(), part=self.part(""))]  # fmt: skip
        if self.open:
            told, item = self.told_tokens(), self.message(self.status(), text)
            made += [self.event("response.output_text.annotation.added", **self.place(), annotation_index=place,
                                annotation=one) for place, one in enumerate(self.annotations())]  # fmt: skip
            made += [self.event("response.output_text.done", **self.place(), text=text, logprobs=told),
                     self.event("response.content_part.done", **self.place(), part=self.part(text, told)),
                     self.event("response.output_item.done", output_index=0, item=item)]  # fmt: skip
        for place, call in enumerate(self.calls, start=int(self.open)):
            begun = call | {"arguments": "", "status": "in_progress"}
            about = {"item_id": call["id"], "output_index": place}
            made += [self.event("response.output_item.added", output_index=place, item=begun),
                     self.event("response.function_call_arguments.delta", **about, delta=call["arguments"]),
                     self.event("response.function_call_arguments.done", **about, arguments=call["arguments"],
                                name=call["name"]),
                     self.event("response.output_item.done", output_index=place, item=call)]  # fmt: skip
        return [*made, self.event(f"response.{self.status()}", response=self.object(self.status()))]

    def failed(self, refusal: Refusal) -> list[dict]:
        error = refusal.body()["error"]
        fault = {"code": "server_error", "message": error["message"]}
        return [self.event("error", code=error["code"], message=error["message"], param=error["param"], error=error),
                self.event("response.failed", response=self.object("failed") | {"error": fault})]  # fmt: skip

    def event(self, type: str, **fields) -> dict:
        """One event with its number."""
        self.number += 1
        return {"type": type, "sequence_number": self.number - 1, **fields}

    def place(self) -> dict:
        """Where a part of the message stands."""
        return {"item_id": self.message_id, "output_index": 0, "content_index": 0}

    # ---- objects ----

    def whole(self) -> dict:
        return self.object(self.status()) | self.timings()

    def status(self) -> str:
        """Whether the text came to its own end."""
        text = self.texts.get(0, Text())
        return "incomplete" if text.finish in ("length", "time") else "completed"

    def told_tokens(self) -> list[dict]:
        """Log-probabilities of the whole text, where they are wanted."""
        text = self.texts.get(0, Text())
        return [] if self.asked.told() is None else self.likely(text.tokens, text.logprobs, text.tops)

    def part(self, text: str, told: list[dict] | None = None) -> dict:
        """The text as content."""
        annotations = self.annotations() if text else []
        return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": told or []}

    def annotations(self) -> list[dict]:
        """What the text cites."""
        return [{"type": "url_citation", **one} for one in self.cited()]

    def message(self, status: str, text: str) -> dict:
        """The message."""
        content = [] if status == "in_progress" else [self.part(text, self.told_tokens())]
        return {"type": "message", "id": self.message_id, "status": status, "role": "assistant", "content": content}

    def object(self, status: str) -> dict:
        """The response as it stands."""
        asked, ended = self.asked, status in ("completed", "incomplete")
        message = self.open or not self.calls
        output = [self.message(status, "".join(self.said)), *self.calls] if message else self.calls
        usage = self.usage()
        counts = {"input_tokens": usage.prompt, "input_tokens_details": {"cached_tokens": usage.known},
                  "output_tokens": usage.new, "output_tokens_details": {"reasoning_tokens": 0},
                  "total_tokens": usage.prompt + usage.new}  # fmt: skip
        dumped = asked.model_dump(by_alias=True, exclude_none=True)
        return {
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked.instructions, "max_output_tokens": asked.max_output_tokens, "model": self.model,
            "output": output if ended else [], "parallel_tool_calls": True, "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None}, "store": False, "temperature": asked.temperature,
            "text": dumped.get("text") or {"format": {"type": "text"}},
            "tool_choice": dumped.get("tool_choice", "auto"),
            "tools": [{"strict": None, "parameters": None} | tool for tool in dumped.get("tools", ())],
            "top_p": asked.top_p, "truncation": "disabled",
            "usage": counts if ended else None, "user": asked.user, "metadata": asked.metadata or {},
        }  # fmt: skip


def call_item(call: Call) -> dict:
    """A call as an item."""
    return {"type": "function_call", "id": f"fc_{secrets.token_hex(12)}", "call_id": f"call_{secrets.token_hex(12)}",
            "name": call.name, "arguments": call.arguments, "status": "completed"}  # fmt: skip
