"""A model behind any server that speaks OpenAI's language: texts by /completions, chats by /chat/completions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import DataError, ServiceError, UpwellError
from ..text.calls import CLOSE, OPEN
from .settings import Piece, Settings, Usage, unwritable
from .wire import Wire

UNKNOWN = ("typical", "no_repeat", "dry", "seconds", "never", "begin", "must", "top_logprobs", "best")


class Remote:
    """A model of a server. What OpenAI's language has no word for (top_k, ...) is sent by vLLM's names.

    What the model calls (tools) comes as text, in the words of `text.calls`, as from a model of our own.
    """

    def __init__(self, base_url: str, model: str, api_key: str | None = None, **options):
        """Options are those of Wire: timeout, tries, pause."""
        self.name, self.wire = model, Wire(base_url, api_key, **options)

    def generate(self, prompt, settings: Settings | None = None) -> "Stream":
        """Continue a text, token ids of that model, or a chat. ServiceError with what the server says."""
        settings = settings or Settings()
        chat = not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], dict)
        path, field = ("/chat/completions", "messages") if chat else ("/completions", "prompt")
        beside = {"tools": prompt.tools} if getattr(prompt, "tools", None) else {}
        if getattr(prompt, "goes_on", False):
            beside |= {"continue_final_message": True, "add_generation_prompt": False}
        prompt = prompt if isinstance(prompt, str) else list(prompt)
        for text in [prompt] if isinstance(prompt, str) else [str(m.get("content")) for m in prompt] if chat else []:
            check_text(text)
        body = {"model": self.name, field: prompt, "stream": True, "stream_options": {"include_usage": True}}
        return Stream(self.wire, self.wire.post(path, body | beside | asked(settings)))

    def score(self, prompt, continuation: str) -> list[tuple[str, float]]:
        """By the echo of /completions, which vLLM has and OpenAI's newer models have not."""
        if not isinstance(prompt, str):
            raise UpwellError("a server scores plain text only; give the prompt as one text")
        check_text(prompt + continuation)
        body = {"model": self.name, "prompt": prompt + continuation, "echo": True, "logprobs": 1, "max_tokens": 0}
        answer = self.wire.json("/completions", body | {"temperature": 0})
        try:
            found = answer["choices"][0]["logprobs"]
            return _behind(found["tokens"], found["token_logprobs"], len(prompt))
        except (KeyError, IndexError, TypeError):
            raise ServiceError(f"{self.wire.base_url} gives no log-probabilities of a prompt; "
                               "score with a server that echoes them (vLLM) or with a model folder") from None

    def embed(self, texts: list[str]) -> list[list[float]]:
        """By /embeddings."""
        answer = self.wire.json("/embeddings", {"model": self.name, "input": list(texts), "encoding_format": "float"})
        try:
            return [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]
        except (KeyError, TypeError):
            raise ServiceError(f"{self.wire.base_url} sent embeddings in a shape that is not OpenAI's") from None

    def classify(self, texts) -> list[dict[str, float]]:
        """OpenAI's language has no words for labels of one's own."""
        raise UpwellError(f"{self.name}: a server of OpenAI's language gives no labels; take a model's folder")

    def spans(self, pairs) -> list[dict]:
        """OpenAI's language has no words for places in a text."""
        raise UpwellError(f"{self.name}: a server of OpenAI's language says no places in a text; take a model's folder")

    def close(self) -> None:
        """Nothing is held between requests."""


def check_text(text: str) -> None:
    """DataError for a text that has no UTF-8 form."""
    fault = unwritable(text, "prompt")
    if fault:
        raise DataError(fault)


def asked(s: Settings) -> dict:
    """Settings in the server's words; defaults are left out, since some servers refuse what they don't know."""
    if s.strategy not in ("sample", "greedy"):
        raise UpwellError(f"strategy: a server knows sample and greedy, found {s.strategy}; use a model folder")
    for name in UNKNOWN:
        if getattr(s, name) != getattr(Settings, name):
            raise UpwellError(f"{name}: a server of OpenAI's language has no word for it; use a model folder")
    greedy = s.strategy == "greedy"
    body = {"max_tokens": s.max_new, "temperature": 0 if greedy else s.temperature}
    optional = {
        "top_p": (s.top_p, 1.0), "top_k": (s.top_k, 0), "min_p": (s.min_p, 0.0),
        "presence_penalty": (s.presence_penalty, 0.0), "frequency_penalty": (s.frequency_penalty, 0.0),
        "repetition_penalty": (s.repetition_penalty, 1.0),
        "min_tokens": (s.min_new, 0), "seed": (s.seed, None), "stop": (list(s.stop), []),
        "stop_token_ids": (list(s.stop_ids), []),
        "logit_bias": ({str(id): number for id, number in s.logit_bias} | {str(token): -100 for token in s.banned}, {}),
    }  # fmt: skip
    body |= {} if s.json_schema is None else {"response_format": {"type": "json_schema", "json_schema": {
        "name": "answer", "schema": json.loads(s.json_schema), "strict": True}}}  # fmt: skip
    shape = {"regex": s.regex} if s.regex is not None else {"choice": list(s.choices)} if s.choices else None
    body |= {"structured_outputs": shape} if shape else {}
    return body | {name: value for name, (value, default) in optional.items() if value != default}


def _behind(tokens: list[str], values: list[float | None], border: int) -> list[tuple[str, float]]:
    """Those of the echoed tokens that reach beyond the prompt's `border` characters."""
    found, end = [], 0
    for token, value in zip(tokens, values, strict=True):
        end += len(token)
        if end > border:
            found.append((token, float(value)))
    return found


@dataclass
class _Sum:
    """What the events of one answer have told so far besides text."""

    finish: str | None = None
    usage: Usage | None = None
    calls: dict[int, list[str]] = field(default_factory=dict)
    """Of each call the name and the arguments so far."""

    def called(self) -> str:
        """The calls as text."""
        said = (f'{{"name": {json.dumps(name)}, "arguments": {arguments or "{}"}}}' for name, arguments in
                self.calls.values())  # fmt: skip
        return "".join(f"{OPEN}{call}{CLOSE}" for call in said)


class Stream:
    """The pieces of one answer as the server sends them; closing it closes the connection."""

    def __init__(self, wire: Wire, response):
        self._wire, self._response, self._cancelled = wire, response, False
        self._pieces = self._read()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Piece:
        return next(self._pieces)

    def close(self) -> None:
        """End; where another thread is reading it stops at its next event."""
        self._cancelled = True
        try:
            self._pieces.close()
        except ValueError:
            return
        self._response.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _read(self) -> Iterator[Piece]:
        told = _Sum()
        with self._response:
            for event in self._events():
                text = _take(event, told)
                if self._cancelled:
                    break
                if text:
                    yield Piece(text)
        finish = "cancelled" if self._cancelled else told.finish or "stop"
        yield Piece(told.called(), finish=finish, usage=told.usage)

    def _events(self) -> Iterator[dict]:
        """A server that cannot stream answers with one object."""
        if "json" in self._response.headers.get("Content-Type", ""):
            return iter([self._wire.whole(self._response)])
        return self._wire.events(self._response)


def _take(event: dict, told: _Sum) -> str:
    """The text of one event; its finish and usage go to `told`."""
    try:
        usage = event.get("usage")
        if usage:
            told.usage = Usage(usage["prompt_tokens"], usage["completion_tokens"])
        if not event.get("choices"):
            return ""
        choice = event["choices"][0]
        told.finish = choice.get("finish_reason") or told.finish
        said = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        for call in said.get("tool_calls") or ():
            held, function = told.calls.setdefault(call.get("index", len(told.calls)), ["", ""]), call["function"]
            held[0] += function.get("name") or ""
            held[1] += function.get("arguments") or ""
        return said.get("content") or ""
    except (KeyError, TypeError, AttributeError):
        raise ServiceError(f"the server sent an event in a shape that is not OpenAI's: {str(event)[:120]}") from None
