"""The application: routes -> Litestar handlers, behind the guard."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from shortlist.serving.calls import Call
from shortlist.serving.guard import SLASH, Guard
from shortlist.serving.keys import Keys
from shortlist.serving.logs import log_error
from shortlist.serving.problems import ProblemError, problem_of
from shortlist.serving.resources import ALL_ROUTES
from shortlist.serving.routes import Raw, Route, WithStatus
from shortlist.serving.service import Service

JSON = "application/json"
_encode = msgspec.json.Encoder().encode
AnyRequest = Request[Any, Any, Any]


def make_app(
    service: Service, keys: Keys, *, local_only: bool, most_at_once: int, on_startup: list[Callable[[], Any]]
) -> Guard:
    """The ASGI application of a server."""
    handlers = [_handler(route, service) for route in ALL_ROUTES]
    app = Litestar(
        handlers,
        openapi_config=None,
        exception_handlers={HTTPException: _not_routed},
        on_startup=on_startup,
        logging_config=None,
    )
    return Guard(app, keys, service.metrics, local_only=local_only, most_at_once=most_at_once)


def _handler(route: Route, service: Service) -> HTTPRouteHandler:
    decoder = msgspec.json.Decoder(route.body).decode if route.body is not None else None

    async def handle(request: AnyRequest) -> Response[bytes]:
        call: Call = request.scope["call"]  # type: ignore[typeddict-item]
        call.route = route.path
        try:
            if route.scope is not None and not call.caller.may(route.scope):
                raise ProblemError("forbidden", f"This needs the scope {route.scope!r}.")
            arguments: dict[str, Any] = {name: text.replace(SLASH, "/") for name, text in request.path_params.items()}
            if route.query is not None:
                arguments["query"] = _query(request, route.query)
            if decoder is not None:
                arguments["body"] = _decoded(decoder, await call.body())
            return _response(await route.handler(service, call, **arguments))
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                log_error("failed", error, request_id=call.id, route=route.path)
                problem = ProblemError("internal", "The server's log has more under the request id.")
            return _problem_response(problem, call)

    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", f"{{{name}:str}}")
    made = HTTPRouteHandler(path, http_method=route.method, status_code=200, media_type=JSON)  # type: ignore[arg-type]
    return made(handle)


def _response(answer: Any) -> Response[bytes]:
    status = 200
    if isinstance(answer, WithStatus):
        status, answer = answer.status, answer.answer
    if isinstance(answer, Raw):
        return Response(answer.content, status_code=status, media_type=answer.content_type)
    return Response(_encode(answer), status_code=status, media_type=JSON)


def _problem_response(problem: ProblemError, call: Call) -> Response[bytes]:
    headers = {name.decode(): value.decode() for name, value in problem.headers() if name != b"content-type"}
    return Response(
        problem.body(call.id), status_code=problem.status, media_type="application/problem+json", headers=headers
    )


def _not_routed(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    call: Call = request.scope["call"]  # type: ignore[typeddict-item]
    if error.status_code == 405:
        problem = ProblemError("method-not-allowed", "This path has other methods.")
    else:
        problem = ProblemError("not-found", "This server has no such path.")
    response = _problem_response(problem, call)
    for name, value in (error.headers or {}).items():
        response.headers.setdefault(name, value)
    return response


def _decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.MsgspecError as error:
        raise ProblemError("invalid-request", str(error)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ProblemError("invalid-request", f"The body cannot be read as JSON: {type(error).__name__}.") from error


def _query(request: AnyRequest, kind: type[msgspec.Struct]) -> Any:
    pairs = list(request.query_params.multi_items())
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ProblemError("invalid-request", "A parameter of the query was given twice.")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError("invalid-request", f"query: {error}") from error
