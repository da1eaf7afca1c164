"""Errors as answers: application/problem+json (RFC 9457), with types that stay."""

import errno

import msgspec

from shortlist.errors import ArtifactError, QueryError, ShortlistError
from shortlist.serving.schemas import Problem
from shortlist.serving.store.contract import Busy, Unavailable

TITLES = {
    "invalid-request": (400, "The request does not fit the schema"),
    "invalid-query": (400, "The query cannot be answered as asked"),
    "unauthorized": (401, "A valid API key is needed"),
    "forbidden": (403, "The API key has not the scope for this"),
    "wrong-host": (403, "This server answers on its own name only"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "body-timeout": (408, "The body did not arrive in time"),
    "conflict": (409, "The state of the server does not allow this"),
    "in-flight": (409, "The same call is being answered"),
    "too-large": (413, "The body is too large"),
    "not-json": (415, "The body must be application/json"),
    "model-refused": (422, "The model was refused"),
    "key-reused": (422, "The Idempotency-Key was used for another call"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "Something went wrong here"),
    "overloaded": (503, "The server is busy"),
    "store-unavailable": (503, "The store cannot be used now"),
    "disk-full": (507, "There is no room on the disk"),
}
"""Type -> status and title. The type in an answer is ``urn:shortlist:problem:`` and this name."""
PREFIX = "urn:shortlist:problem:"


class ProblemError(Exception):
    """Ends a request with a problem.

    Args:
        kind: a name in `TITLES`.
        detail: one sentence for people.
        retry_after_s: when to try again.
    """

    def __init__(self, kind: str, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.retry_after_s = kind, detail, retry_after_s
        self.status, self.title = TITLES[kind]

    def body(self, request_id: str) -> bytes:
        return msgspec.json.encode(
            Problem(
                type=PREFIX + self.kind,
                title=self.title,
                status=self.status,
                detail=self.detail,
                request_id=request_id,
            )
        )

    def headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", b"application/problem+json")]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


def problem_of(error: Exception) -> ProblemError | None:
    """What an exception means to the caller; ``None`` = it is a fault of this program.

    >>> problem_of(QueryError("k: too small")).kind
    'invalid-query'
    """
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, Busy):
        return ProblemError("too-many-requests", str(error), error.retry_after_s)
    if isinstance(error, Unavailable):
        return ProblemError("store-unavailable", "The store cannot be used now; try again later.", error.retry_after_s)
    if isinstance(error, QueryError):
        return ProblemError("invalid-query", str(error))
    if isinstance(error, ArtifactError):
        return ProblemError("model-refused", str(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ProblemError("disk-full", "The disk is full; nothing was changed.", 5)
    if isinstance(error, ShortlistError):
        return ProblemError("invalid-request", str(error))
    return None
