"""Errors as RFC 9457 problem documents: what a client is told."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vmatte import errors
from vmatte.errors import VmatteError, mask

if TYPE_CHECKING:
    from starlette.responses import JSONResponse

_STATUS: tuple[tuple[type[VmatteError], int], ...] = (
    (errors.UnknownModelError, 404),
    (errors.ModelUnavailableError, 409),
    (errors.DownloadError, 502),
    (errors.ModelError, 500),
    (errors.EngineError, 500),
    (errors.UnsupportedMediaError, 415),
    (errors.InputError, 422),
    (errors.UnsupportedOutputError, 422),
    (errors.OutputError, 500),
    (errors.OptionError, 422),
)
"""The first class that fits tells the status."""

TITLES = {
    400: "The request cannot be read",
    401: "A token is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The upload took too long",
    409: "Not possible now",
    413: "Too large",
    415: "Not a kind of media that can be matted",
    416: "No such range",
    422: "Cannot be used",
    429: "Busy",
    500: "Internal error",
    502: "Fetching failed",
    507: "Out of space",
}


class Problem(Exception):
    """A refusal with its status. kind: one or two words that programs can tell it by."""

    def __init__(self, status: int, kind: str, detail: str, *, retry: int | None = None) -> None:
        """Keep what the document says; ``retry``: seconds after which to try again."""
        super().__init__(detail)
        self.status, self.kind, self.detail, self.retry = status, kind, detail, retry

    def response(self) -> "JSONResponse":
        """Return the problem document."""
        # Not above: the worker's process needs no web framework.
        from starlette.responses import JSONResponse

        headers = {} if self.retry is None else {"Retry-After": str(self.retry)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(
            self.document(), self.status, headers, media_type="application/problem+json"
        )

    def document(self) -> dict[str, Any]:
        """Return the members of the document."""
        return {
            "type": f"urn:vmatte:{self.kind}",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }


def problem_of(error: BaseException, hidden: Mapping[str, str] | None = None) -> Problem:
    """Return what a client is told of ``error``.

    hidden: names on this machine's disk, and what clients know them by.
    """
    if isinstance(error, Problem):
        return error
    if not isinstance(error, VmatteError):
        return Problem(500, "internal", "something went wrong here; the server's log tells more")
    status = next((s for kind, s in _STATUS if isinstance(error, kind)), 500)
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()
    text = mask(str(error))
    for name, shown in (hidden or {}).items():
        text = text.replace(name, shown)
    return Problem(status, kind, text)
