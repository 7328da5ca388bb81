"""An answer that is a mistake, in OpenAI's shape: {"error": {message, type, param, code}}.

Knows status codes and words; knows nothing of models or routes.
"""

from fastapi.responses import JSONResponse

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """Why a request is not served. `param` names the field at fault, `code` is for machines."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None,
                 headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = headers or {}

    def body(self) -> dict:
        """The JSON object that the official clients read."""
        usual = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": TYPES.get(self.status, usual),
                          "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body(), self.status, headers=self.headers)


def unexpected() -> Refusal:
    """A fault of ours: says nothing of the inside; the log has the traceback."""
    return Refusal(500, "The server failed on this request; its log says why.", code="internal_error")
