"""Checked JSON -> closed records: every field of OpenAI's is known by name, every number has its bounds.

Three kinds of field: those that work; those that change nothing of an answer (`user`, `metadata`, ...), which
are accepted; and those of OpenAI's that this server can't do, which are refused by name unless they hold
their default. A field that nobody knows is refused too. Nothing is dropped in silence.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from upwell.serving.body import printable
from upwell.serving.refusals import Refusal

CHOICES = 64        # texts that one request may ask for: prompts times n

ELSEWHERE = "not supported here; refused unless it holds its default"

Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[int, Field(ge=0, lt=2**31)]
Ids = Annotated[list[Id], Field(fail_fast=True)]            # a million wrong entries are one fault, not a million
Texts = Annotated[list[str], Field(fail_fast=True)]
Inert = Annotated[Any, Field(description="accepted; changes nothing here")]
Elsewhere = Annotated[Any, Field(description=ELSEWHERE)]


class Closed(BaseModel):
    """No unknown fields, no guessing between types (true is no number), no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Closed):
    """What a stream carries beside the text."""

    include_usage: bool | None = False
    include_obfuscation: Inert = None


class Writing(Closed):
    """What both endpoints take: how to write, and how to send it."""

    model: str | None = Field(None, description="an id of /v1/models; default: the first")
    temperature: float | None = Field(None, ge=0, le=2, description="0 takes the likeliest token")
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=2**31 - 1, description="0: all tokens")
    repetition_penalty: float | None = Field(None, gt=0, le=10, description="1: none")
    strategy: Literal["sample", "greedy", "beam"] | None = Field(None, description="sample, greedy or beam")
    beams: int | None = Field(None, ge=1, le=16, description="of the strategy beam: texts that are kept alive")
    length_power: float | None = Field(None, ge=0, le=10, description="of the strategy beam: 0 ignores the length")
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    n: int | None = Field(None, ge=1, le=8)
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(
        None, description="a text of 1 to 256 characters, or up to 16 of them")
    seed: int | None = Field(None, ge=-2**63, le=2**63 - 1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    user: Inert = None
    metadata: Inert = None
    store: Inert = None
    service_tier: Inert = None
    safety_identifier: Inert = None
    prompt_cache_key: Inert = None
    prompt_cache_retention: Inert = None

    presence_penalty: Elsewhere = None
    frequency_penalty: Elsewhere = None
    logit_bias: Elsewhere = None
    logprobs: Elsewhere = None

    def stops(self) -> tuple[str, ...]:
        """The stop texts, one or many."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def most(self) -> int | None:
        """The tokens that were asked for at most; None: nothing was said."""
        return self.max_tokens

    def wants_usage(self) -> bool:
        """Whether a stream ends in a chunk with its counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionRequest(Writing):
    """The body of /v1/completions."""

    prompt: str | Texts | Ids | Annotated[list[Ids], Field(fail_fast=True)] = Field(
        "", description="a text, a list of texts, a list of token ids, or a list of such lists")

    best_of: Elsewhere = None
    echo: Elsewhere = None
    suffix: Elsewhere = None

    def prompts(self) -> list[str | list[int]]:
        """One entry a text to be continued."""
        if isinstance(self.prompt, str) or (self.prompt and isinstance(self.prompt[0], int)):
            return [self.prompt]
        return list(self.prompt)


class TextPart(Closed):
    """The one kind of content part that a text model reads."""

    type: Literal["text"]
    text: str


class Message(Closed):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: Inert = None
    refusal: Inert = None
    annotations: Inert = None
    audio: Elsewhere = None
    tool_calls: Elsewhere = None
    function_call: Elsewhere = None

    def plain(self) -> dict[str, str]:
        """Role and whole text; `developer` is OpenAI's later name for `system`."""
        content = self.content if isinstance(self.content, str) else "".join(p.text for p in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class ChatRequest(Writing):
    """The body of /v1/chat/completions."""

    messages: list[Message] = Field(
        min_length=1, max_length=4096,
        description="a list of {role, content}, the content a text or a list of {type: text, text} parts")
    max_completion_tokens: int | None = Field(None, ge=1, le=2**31 - 1)

    reasoning_effort: Inert = None
    verbosity: Inert = None
    top_logprobs: Elsewhere = None
    tools: Elsewhere = None
    tool_choice: Elsewhere = None
    parallel_tool_calls: Inert = None
    functions: Elsewhere = None
    function_call: Elsewhere = None
    response_format: Elsewhere = None
    modalities: Elsewhere = None
    audio: Elsewhere = None
    prediction: Elsewhere = None
    web_search_options: Elsewhere = None
    moderation: Elsewhere = None

    def most(self) -> int | None:
        """OpenAI's newer name wins over the older one."""
        return self.max_completion_tokens or self.max_tokens


DEFAULTS = {
    "presence_penalty": (0,), "frequency_penalty": (0,), "logit_bias": ({},), "logprobs": (False,),
    "best_of": (1,), "echo": (False,), "suffix": ("",), "tools": ([],), "functions": ([],), "tool_calls": ([],),
    "tool_choice": ("none", "auto"), "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},), "modalities": (["text"],),
}


def understood(kind: type[Writing], value: dict) -> Any:
    """`value` as a record of `kind`; raises a 400 that names the first field at fault."""
    try:
        record = kind.model_validate(value)
    except ValidationError as error:
        raise explained(kind, error) from None
    refuse_elsewhere(record)
    for message in getattr(record, "messages", ()):
        refuse_elsewhere(message, "messages.")
    return record


def refuse_elsewhere(record: Closed, within: str = "") -> None:
    """A field of OpenAI's that this server can't do and that would change the answer."""
    for name in record.model_fields_set:
        value = getattr(record, name)
        if type(record).model_fields[name].description != ELSEWHERE or value is None:
            continue
        if not any(same(value, default) for default in DEFAULTS.get(name, ())):
            raise Refusal(400, f"{within}{name} is not supported by this server; leave it out.", within + name,
                          "unsupported_parameter")


def same(value: Any, default: Any) -> bool:
    """Equal, and no guessing between true and 1 (0.0 is as good as 0)."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def explained(kind: type[Writing], error: ValidationError) -> Refusal:
    """One sentence about the first field at fault, without repeating what the client sent."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    where = [str(part) for part in faults[0]["loc"]]
    param = printable(where[0][:80]) if where else None
    if faults[0]["type"] == "extra_forbidden":
        path = printable(".".join(where)[:200])
        return Refusal(400, f"{path} is not a field that this server knows.", path, "unknown_parameter")
    several = sum(str(fault["loc"][0]) == where[0] for fault in faults if fault["loc"]) > 1
    field = kind.model_fields.get(where[0]) if where else None
    if several and field and field.description:
        return Refusal(400, f"{param}: expected {field.description}.", param, "invalid_value")
    reason = faults[0]["msg"].replace("Input should", "it should")
    return Refusal(400, f"{printable('.'.join(where)[:200])}: {reason}.", param, "invalid_value")

