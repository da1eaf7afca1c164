"""The page: static files over the operations of the others. They tell nothing about anybody, and need no key."""

from functools import cache
from importlib.resources import files

from shortlist.serving.calls import Call
from shortlist.serving.problems import ProblemError
from shortlist.serving.routes import Raw, Route
from shortlist.serving.service import Service

TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
}


async def page(service: Service, call: Call) -> Raw:
    """The page to look at a model with: what was retrieved, how ranking moved it, and why."""
    return page_files()["index.html"]


async def page_file(service: Service, call: Call, file: str) -> Raw:
    """One of the page's own files: scripts, styles, the icon."""
    found = page_files().get(file)
    if found is None:
        raise ProblemError("not-found", "The page has no such file.")
    return found


@cache
def page_files() -> dict[str, Raw]:
    """All files of the page by name, read once."""
    folder = files("shortlist.serving") / "static" / "page"
    return {
        entry.name: Raw(entry.read_bytes(), TYPES[entry.name.rpartition(".")[2]])
        for entry in folder.iterdir()
        if entry.name.rpartition(".")[2] in TYPES
    }


ROUTES = (
    Route("GET", "/", page, "The page", scope=None, content_type="text/html"),
    Route("GET", "/page/{file}", page_file, "One of the page's files", scope=None, content_type="text/javascript"),
)
