"""POST /tokenize, /detokenize and /apply-template: what a model reads, in tokens and as text."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from upwell.generation.backend import Backend
from upwell.serving.body import body_of, read_json
from upwell.serving.desk import Desk
from upwell.serving.endpoints.chat import Message, Tool, Tools
from upwell.serving.records import Closed, Ids, understood
from upwell.serving.refusals import Refusal
from upwell.serving.writing import refusal_of, spelled
from upwell.text.calls import flattened
from upwell.text.chat import Chat


class TokenizeRequest(Closed):
    """The body of /tokenize: a text (as `prompt`, or `content` as llama-server has it), or a chat."""

    model: str | None = None
    prompt: str | None = None
    content: str | None = None
    messages: list[Message] | None = Field(None, min_length=1, max_length=4096)
    tools: list[Tool] | None = None
    add_special_tokens: bool | None = Field(None, description="with the token that begins a text; default: true")
    add_special: bool | None = None
    return_token_strs: bool | None = None
    with_pieces: bool | None = None


class DetokenizeRequest(Closed):
    """The body of /detokenize."""

    model: str | None = None
    tokens: Ids


class TemplateRequest(Closed):
    """The body of /apply-template."""

    model: str | None = None
    messages: list[Message] = Field(min_length=1, max_length=4096)
    tools: list[Tool] | None = None
    add_generation_prompt: bool | None = None


RECORDS = (TokenizeRequest, DetokenizeRequest, TemplateRequest)


def add(service: FastAPI, desk: Desk) -> None:
    """The routes."""

    @service.post("/tokenize", openapi_extra=body_of(TokenizeRequest))
    async def tokenize(request: Request) -> Response:
        asked = understood(TokenizeRequest, await read_json(request))
        name, backend = own(desk, asked.model)
        ids = ids_of(asked, backend)
        strings = [spelled([id], backend.tokenizer) for id in ids]
        said = {"count": len(ids), "max_model_len": desk.context(backend), "tokens": ids}
        if asked.with_pieces:
            said["tokens"] = [{"id": id, "piece": piece} for id, piece in zip(ids, strings, strict=True)]
        return JSONResponse(said | ({"token_strs": strings} if asked.return_token_strs else {}))

    @service.post("/detokenize", openapi_extra=body_of(DetokenizeRequest))
    async def detokenize(request: Request) -> Response:
        asked = understood(DetokenizeRequest, await read_json(request))
        name, backend = own(desk, asked.model)
        wrong = next((id for id in asked.tokens if id >= backend.config.vocab), None)
        if wrong is not None:
            raise Refusal(400, f"tokens: found the token id {wrong}, expected ids from 0 to "
                               f"{backend.config.vocab - 1}.", "tokens", "invalid_value")  # fmt: skip
        text = spelled(asked.tokens, backend.tokenizer)
        return JSONResponse({"prompt": text, "content": text})

    @service.post("/apply-template", openapi_extra=body_of(TemplateRequest))
    async def apply_template(request: Request) -> Response:
        asked = understood(TemplateRequest, await read_json(request))
        name, backend = own(desk, asked.model)
        tools, said = Tools(asked.tools, None).told, [message.plain() for message in asked.messages]
        if not backend.template.knows_tools:
            said, tools = flattened(said, tools), []
        try:
            text = backend.template.render(said, asked.add_generation_prompt is not False, tools or None)
        except Exception as error:
            raise refusal_of(error) from None
        return JSONResponse({"prompt": text})


def own(desk: Desk, name: str | None) -> tuple[str, Backend]:
    """A model of our own, of whatever kind; of another server's nothing is known."""
    mine = [one for one, backend in desk.backends.items() if hasattr(backend, "tokenizer")]
    if name is None and mine:
        return mine[0], desk.backends[mine[0]]
    if name not in desk.backends:
        desk.find(name)
    if name not in mine:
        raise Refusal(400, "The tokens of a model behind another server are not known here.", "model",
                      "model_not_supported")  # fmt: skip
    return name, desk.backends[name]


def ids_of(asked: TokenizeRequest, backend: Backend) -> list[int]:
    """The token ids of what was given."""
    given = [name for name in ("prompt", "content", "messages") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise Refusal(400, f"Expected one of prompt, content and messages, found {' and '.join(given) or 'none'}.",
                      "prompt", "invalid_value")  # fmt: skip
    try:
        if asked.messages is not None:
            return backend.read(Chat([message.plain() for message in asked.messages], Tools(asked.tools, None).told))
        text = asked.prompt if asked.content is None else asked.content
        plain = asked.add_special_tokens is False or asked.add_special is False or asked.content is not None
        return backend.tokenizer.encode(text) if plain and not asked.add_special else backend.read(text)
    except Exception as error:
        raise refusal_of(error) from None
