"""Checked JSON -> closed records: every field is known by name, every number has its bounds.

Three kinds of field: those that work; those that change nothing of an answer (`user`, `metadata`, ...), which
are accepted; and those of OpenAI's that this server can't do, which are refused by name unless they hold
their default. A field that nobody knows is refused too. Nothing is dropped in silence.

Here is what several endpoints share; the records of one alone stand in its file in endpoints/.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from upwell.serving.body import printable
from upwell.serving.refusals import Refusal

CHOICES = 64  # texts that one request may ask for: prompts times n
BIASES = 1024
ELSEWHERE = "not supported here; refused unless it holds its default"

Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[int, Field(ge=0, lt=2**31)]
Ids = Annotated[list[Id], Field(fail_fast=True)]  # a million wrong entries are one fault, not a million
Texts = Annotated[list[str], Field(fail_fast=True)]
Inert = Annotated[Any, Field(description="accepted; changes nothing here")]
Elsewhere = Annotated[Any, Field(description=ELSEWHERE)]
Schema = dict[str, Any]
Biases = Annotated[dict[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}$")],
                        Annotated[float, Field(ge=-100, le=100)]], Field(max_length=BIASES)]  # fmt: skip


class Closed(BaseModel):
    """No unknown fields, no guessing between types (true is no number), no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class StreamOptions(Closed):
    """What a stream carries beside the text."""

    include_usage: bool | None = False
    include_obfuscation: Inert = None
    continuous_usage_stats: Elsewhere = None


class Shaped(Closed):
    """vLLM's words for a text that must fit a grammar; exactly one of them."""

    json_: Schema | str | None = Field(None, alias="json")
    regex: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None
    choice: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=10_000)]],
                      Field(min_length=1, max_length=20_000, fail_fast=True)] | None = None  # fmt: skip
    grammar: Elsewhere = None


class Common(Closed):
    """What no answer depends on; clients send it all the same."""

    user: Inert = None
    metadata: Inert = None
    store: Inert = None
    service_tier: Inert = None
    safety_identifier: Inert = None
    prompt_cache_key: Inert = None
    prompt_cache_retention: Inert = None


class Writing(Common):
    """What /v1/completions and /v1/chat/completions take: how to write, and how to send it."""

    model: str | None = Field(None, description="an id of /v1/models; default: the first that writes")
    temperature: float | None = Field(None, ge=0, le=2, description="0 takes the likeliest token")
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=2**31 - 1, description="0 or -1: all tokens")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10, description="1: none")
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: Biases | None = Field(
        None, description=f"an object of up to {BIASES} token ids with numbers from -100 to 100"
    )
    strategy: Literal["sample", "greedy", "beam"] | None = Field(None, description="sample, greedy or beam")
    beams: int | None = Field(None, ge=1, le=16, description="of the strategy beam: texts that are kept alive")
    length_power: float | None = Field(None, ge=0, le=10, description="of the strategy beam: 0 ignores the length")
    use_beam_search: bool | None = Field(None, description="vLLM's word for the strategy beam, n beams wide")
    length_penalty: float | None = Field(None, ge=0, le=10, description="vLLM's word for length_power")
    max_tokens: int | None = Field(None, ge=0, le=2**31 - 1)
    min_tokens: int | None = Field(None, ge=0, le=2**31 - 1)
    ignore_eos: bool | None = Field(None, description="write max_tokens tokens whatever happens")
    n: int | None = Field(None, ge=1, le=8)
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(
        None, description="a text of 1 to 256 characters, or up to 16 of them"
    )
    stop_token_ids: Annotated[list[Id], Field(max_length=256)] | None = None
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    structured_outputs: Shaped | None = None
    prompt_logprobs: int | None = Field(None, ge=0, le=20, description="tell how likely each token of the prompt is")
    return_token_ids: bool | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    def stops(self) -> tuple[str, ...]:
        """The stop texts, one or many."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def most(self) -> int | None:
        """The tokens that were asked for at most; None: nothing was said."""
        return self.max_tokens

    def copies(self) -> int:
        """How many texts are written for each prompt."""
        return self.n or 1

    def top(self) -> int | None:
        """How many of the likeliest tokens are told beside each; None: nothing is told."""
        raise NotImplementedError

    def wants_usage(self) -> bool:
        """Whether a stream ends in a chunk with its counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


DEFAULTS = {
    "suffix": ("",), "functions": ([],), "function_call": ("none", "auto"), "modalities": (["text"],),
    "grammar": ("",), "continuous_usage_stats": (False,), "background": (False,), "include": ([],),
    "truncation": ("disabled",), "previous_response_id": ("",), "tool_call_parser": (), "refusal": ("",),
}  # fmt: skip


def understood(kind: type[Closed], value: dict) -> Any:
    """`value` as a record of `kind`; raises a 400 that names the first field at fault."""
    try:
        record = kind.model_validate(value)
    except ValidationError as error:
        raise explained(kind, error) from None
    refuse_elsewhere(record)
    return record


def refuse_elsewhere(record: Closed, within: str = "") -> None:
    """A field of OpenAI's that this server can't do and that would change the answer, here or further inside."""
    for name in record.model_fields_set:
        value = getattr(record, name)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Closed):
                refuse_elsewhere(inner, f"{within}{name}.")
        if type(record).model_fields[name].description != ELSEWHERE or value is None:
            continue
        if not any(same(value, default) for default in DEFAULTS.get(name, ())):
            raise Refusal(
                400,
                f"{within}{name} is not supported by this server; leave it out.",
                within + name,
                "unsupported_parameter",
            )


def same(value: Any, default: Any) -> bool:
    """Equal, and no guessing between true and 1 (0.0 is as good as 0)."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def explained(kind: type[Closed], error: ValidationError) -> Refusal:
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
