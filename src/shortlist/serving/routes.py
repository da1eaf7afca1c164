"""What a resource offers: one `Route` per operation. The application and its OpenAPI document are made from these."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Struct

from shortlist.serving.keys import Scope

Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Raw:
    """An answer that is not JSON made from a type."""

    content: bytes
    content_type: str


@dataclass(frozen=True)
class WithStatus:
    """An answer with a status other than 200."""

    status: int
    answer: Any


@dataclass(frozen=True)
class Route:
    """One operation.

    The handler is called with the service and the call, then with the body, the query and the path's parts by name,
    as far as there are any; it returns an ``answer``, `Raw` or `WithStatus`.

    Attributes:
        method: in capitals.
        path: with ``{name}`` for the parts that are parameters.
        summary: one line.
        answer: the type of the answer; ``None`` = `Raw`.
        scope: what a key must be good for; ``None`` = none is needed.
        body: the type of the body, if there is one.
        query: the type of the parameters in the query, if there are any.
        statuses: that the answer may have.
        example: a body, for the reference.
        headers: of the request, that it takes besides; texts of 1 to 256 characters.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Any = None
    scope: Scope | None = "read"
    body: Any = None
    query: type[Struct] | None = None
    statuses: tuple[int, ...] = (200,)
    example: Any = UNSET
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the operation, unique."""
        return self.handler.__name__

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]
