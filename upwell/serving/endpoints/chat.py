"""POST /v1/chat/completions: messages, and the model's answer; tools that it may call, and shapes that it must fit."""

import json
import secrets
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from upwell.generation.settings import Piece
from upwell.serving import consulting, writing
from upwell.serving.answers import Reply, Text, finish
from upwell.serving.body import STREAMS, body_of, read_json
from upwell.serving.desk import Desk
from upwell.serving.records import Closed, Elsewhere, Inert, Schema, Writing, understood
from upwell.serving.refusals import Refusal
from upwell.text.calls import Call, Split, forced, names
from upwell.text.chat import Chat

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]
TOOLS = 128


class TextPart(Closed):
    """The one kind of content part that a text model reads."""

    type: Literal["text"]
    text: str


class Function(Closed):
    """What a tool is called, and what it takes."""

    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: Inert = None


class Tool(Closed):
    """A function that the model may call."""

    type: Literal["function"]
    function: Function


class Called(Closed):
    """A function that was called, with its arguments as JSON in a text."""

    name: str
    arguments: str


class ToolCall(Closed):
    """A call in an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: Called
    index: Inert = None


class Message(Closed):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: Inert = None
    refusal: Inert = None
    annotations: Inert = None
    reasoning: Inert = None
    audio: Elsewhere = None
    function_call: Elsewhere = None

    def plain(self) -> dict[str, Any]:
        """Role and whole text, and the calls with their arguments as objects, as templates want them."""
        if self.content is None and not self.tool_calls:
            raise Refusal(400, f"messages: a {self.role} message without content; give a text.", "messages",
                          "invalid_value")  # fmt: skip
        content = self.content if isinstance(self.content, str) else "".join(p.text for p in self.content or ())
        said: dict[str, Any] = {"role": "system" if self.role == "developer" else self.role, "content": content}
        if self.tool_calls:
            said["tool_calls"] = [{"id": call.id, "type": "function", "function": {
                "name": call.function.name, "arguments": arguments(call.function.arguments)}}
                for call in self.tool_calls]  # fmt: skip
        return said | ({"tool_call_id": self.tool_call_id} if self.tool_call_id else {})


class Shape(Closed):
    """A JSON Schema with its name."""

    name: Name
    schema_: Schema | None = Field(None, alias="schema")
    description: Inert = None
    strict: Inert = None


class Format(Closed):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Shape | None = None

    def shape(self) -> dict:
        """As our settings have it."""
        schema = self.json_schema.schema_ if self.json_schema else None
        return writing.formed(self.type, schema, "response_format")


class Chosen(Closed):
    """The name of one function."""

    name: str


class Choice(Closed):
    """One tool that must be called."""

    type: Literal["function"]
    function: Chosen


class ChatRequest(Writing):
    """The body of /v1/chat/completions."""

    messages: list[Message] = Field(
        min_length=1,
        max_length=4096,
        description="a list of {role, content}, the content a text or a list of {type: text, text} parts",
    )
    max_completion_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20, description="a whole number from 0 to 20, with logprobs")
    tools: list[Tool] | None = Field(None, max_length=TOOLS)
    tool_choice: Literal["none", "auto", "required"] | Choice | None = Field(
        None, description="none, auto, required, or {type: function, function: {name}}"
    )
    response_format: Format | None = None
    continue_final_message: bool | None = Field(None, description="go on with the last message, the model's own")
    add_generation_prompt: bool | None = Field(None, description="false only with continue_final_message")

    parallel_tool_calls: Inert = None
    reasoning_effort: Inert = None
    verbosity: Inert = None
    functions: Elsewhere = None
    function_call: Elsewhere = None
    modalities: Elsewhere = None
    audio: Elsewhere = None
    prediction: Elsewhere = None
    web_search_options: Elsewhere = None
    moderation: Elsewhere = None

    def most(self) -> int | None:
        """OpenAI's newer name wins over the older one."""
        return self.max_completion_tokens or self.max_tokens

    def top(self) -> int | None:
        if self.top_logprobs is not None and not self.logprobs:
            raise Refusal(400, "top_logprobs: give logprobs: true beside it.", "top_logprobs", "invalid_value")
        return (self.top_logprobs or 0) if self.logprobs else None


RECORDS = (ChatRequest,)


def add(service: FastAPI, desk: Desk) -> None:
    """The route."""

    @service.post("/v1/chat/completions", openapi_extra=body_of(ChatRequest), responses=STREAMS)
    async def chat(request: Request) -> Response:
        asked = understood(ChatRequest, await read_json(request))
        if (library := desk.library(asked.model, request.scope["sees"])) is not None:
            messages, reply = conversation(asked, no_tools()), ChatReply(asked, no_tools(), library.name, 1)
            return await consulting.chatted(request, desk, library, asked, messages, reply)
        name, backend = desk.find(asked.model)
        for field in ("logprobs", "prompt_logprobs", "return_token_ids"):
            if getattr(asked, field) is not None and getattr(asked, field) is not False:  # 0 is a number
                writing.check_tellable(backend, name, field)
        tools = Tools(asked.tools, asked.tool_choice)
        shape = tools.shape() or (asked.response_format.shape() if asked.response_format else {})
        settings = writing.settings_of(asked, writing.CHAT_LENGTH, shape)
        task = writing.Task(name, backend, [conversation(asked, tools)], settings, asked.copies(), asked.most(),
                            told=asked.prompt_logprobs, client=request.scope.get("client_name", ""))  # fmt: skip
        spell = getattr(getattr(backend, "tokenizer", None), "bytes_of", None)
        reply = ChatReply(asked, tools, name, asked.copies(), asked.copies(), spell, asked.prompt_logprobs is not None)
        return await writing.answered(request, desk, task, reply, bool(asked.stream))


def conversation(asked: ChatRequest, tools: "Tools") -> Chat:
    """The messages with their tools, as backends read them."""
    goes_on = bool(asked.continue_final_message)
    if asked.add_generation_prompt is (True if goes_on else False):
        raise Refusal(400, "add_generation_prompt: expected the opposite of continue_final_message.",
                      "add_generation_prompt", "invalid_value")  # fmt: skip
    if goes_on and (asked.messages[-1].role != "assistant" or not asked.messages[-1].content):
        raise Refusal(400, "continue_final_message: the last message must be the assistant's, with a content.",
                      "continue_final_message", "invalid_value")  # fmt: skip
    return Chat([message.plain() for message in asked.messages], tools.told, goes_on)


def arguments(text: str) -> Any:
    """The arguments of a call as an object, where they are one."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class Tools:
    """The functions of a request, and whether one of them must be called."""

    def __init__(self, tools: list[Tool] | None, choice: str | Choice | None):
        self.all = [tool.model_dump(exclude={"function": {"strict"}}, exclude_none=True) for tool in tools or ()]
        self.only = choice.function.name if isinstance(choice, Choice) else None
        self.must = choice == "required" or self.only is not None
        self.told = [] if choice == "none" else self.all
        if self.must and not self.all or self.only is not None and self.only not in names(self.all):
            raise Refusal(400, "tool_choice: there is no such function in tools.", "tool_choice", "invalid_value")
        if len(set(names(self.all))) < len(self.all):
            raise Refusal(400, "tools: two functions have the same name.", "tools", "invalid_value")

    def shape(self) -> dict:
        """The grammar of a call that must come; else nothing."""
        return {"json_schema": forced(self.all, self.only)} if self.must else {}

    def split(self) -> Split | None:
        """What takes calls out of a text; None where there can be none."""
        return Split(self.told, self.must) if self.told else None


def no_tools() -> Tools:
    """What a text has that calls none."""
    return Tools(None, None)


class ChatReply(Reply):
    """What /v1/chat/completions answers."""

    prefix = "chatcmpl-"

    def __init__(self, asked: ChatRequest, tools: Tools, *of_reply):
        super().__init__(*of_reply)
        self.asked, self.tools = asked, tools
        self.splits: dict[int, Split | None] = {}
        self.calls: dict[int, list[dict]] = {}

    def events(self, index: int, piece: Piece, first: bool) -> list[dict]:
        text, calls = self.divided(index, piece)
        delta: dict[str, Any] = {"role": "assistant"} if first else {}
        delta |= {"content": text} if text or first and not self.tools.must else {}
        if calls:
            begin = len(self.calls[index]) - len(calls)
            delta["tool_calls"] = [{"index": begin + number} | call for number, call in enumerate(calls)]
        delta |= {"annotations": annotations} if piece.finish and (annotations := self.annotations()) else {}
        if not (delta or piece.finish or self.asked.logprobs and piece.tokens):
            return []
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": self.ended(index, piece.finish)}
        if self.asked.logprobs:
            choice["logprobs"] = self.told_tokens(piece.tokens, piece.logprobs, piece.tops)
        ids = {"token_ids": list(piece.tokens)} if self.asked.return_token_ids else {}
        usage = {"usage": None} if self.asked.wants_usage() else {}
        return [self.head("chat.completion.chunk") | {"choices": [choice | ids]} | usage]

    def divided(self, index: int, piece: Piece) -> tuple[str, list[dict]]:
        """A piece as text to show and calls."""
        if index not in self.splits:
            self.splits[index], self.calls[index] = self.tools.split(), []
        split = self.splits[index]
        if split is None:
            return piece.text, []
        text, calls = split.push(piece.text)
        if piece.finish:
            more, rest = split.close()
            text, calls = text + more, calls + rest
        made = [call_object(call) for call in calls]
        self.calls[index] += made
        return text, made

    def ended(self, index: int, reason: str | None) -> str | None:
        """Why a text ended; a call is a reason of its own."""
        return "tool_calls" if reason == "stop" and self.calls.get(index) else finish(reason)

    def closing(self) -> list[dict]:
        if not self.asked.wants_usage():
            return []
        return [self.head("chat.completion.chunk") | {"choices": [], "usage": self.counts()} | self.timings()]

    def whole(self) -> dict:
        choices = [self.choice(index, self.texts[index]) for index in self.found(range(self.count))]
        return self.head("chat.completion") | {"choices": choices, "usage": self.counts()} | self.timings()

    def choice(self, index: int, text: Text) -> dict:
        """One answer."""
        split = self.tools.split()
        content, calls = text.text, []
        if split is not None:
            (content, calls), (more, rest) = split.push(text.text), split.close()
            content, calls = content + more, calls + rest
        made = [call_object(call) for call in calls]
        message = {"role": "assistant", "content": content if content or not made else None, "refusal": None,
                   "annotations": self.annotations()} | ({"tool_calls": made} if made else {})  # fmt: skip
        self.calls[index] = made
        choice = {"index": index, "message": message, "logprobs": None,
                  "finish_reason": self.ended(index, text.finish)}  # fmt: skip
        if self.asked.logprobs:
            choice["logprobs"] = self.told_tokens(text.tokens, text.logprobs, text.tops)
        return choice | self.ids(text, bool(self.asked.return_token_ids))

    def annotations(self) -> list[dict]:
        """What the text cites."""
        return [{"type": "url_citation", "url_citation": one} for one in self.cited()]

    def told_tokens(self, tokens, logprobs, tops) -> dict:
        """Log-probabilities as chats tell them."""
        return {"content": self.likely(tokens, logprobs, tops), "refusal": None}


def call_object(call: Call) -> dict:
    """A call in OpenAI's words."""
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function",
            "function": {"name": call.name, "arguments": call.arguments}}  # fmt: skip
