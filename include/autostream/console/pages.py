"""Pages: templates filled with what a route found, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi.templating import Jinja2Templates

from autostream.access.roles import Identity
from autostream.console.columns import columns_of
from autostream.console.forms import FIELD, HEADER, proof
from autostream.console.language import COOKIE, LANGUAGES, Translate, choose, translator

_IDENTITY: Final = "autostream.identity"
_ROOT: Final = "autostream.root"
_TEMPLATES: Final = Jinja2Templates(directory=Path(__file__).parent / "templates")


def render(request: Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> Response:
    """Return a page; every template also has:

    - `t`, which gives messages, and `language` with `languages`, the choice of them;
    - `columns`, which gives the columns of a table by its name;
    - `root`, the path below which the console is reached, `here`, this page's, and `part`, the same within the console;
    - `identity`, who looks at it, None where nobody is logged in;
    - `csrf`, what each form has to send in the field `csrf`.
    """
    language, identity = language_of(request), identity_of(request)
    t = translator(language)
    shared = {
        "t": t,
        "columns": partial(columns_of, t=t),
        "language": language,
        "languages": LANGUAGES,
        "root": root_of(request),
        "here": here(request),
        "part": path_of(request),
        "identity": identity,
        "csrf": proof(identity.form_secret) if identity and identity.form_secret else "",
        "csrf_field": FIELD,
        "csrf_header": HEADER,
        "framed": request.app.state.access.framed,
    }
    return _TEMPLATES.TemplateResponse(request, template, shared | dict(context), status_code=status)


def translate(request: Request) -> Translate:
    """Return what gives the messages in the reader's language: a dependency of routes that make words."""
    return translator(language_of(request))


Words = Annotated[Translate, Depends(translate)]
"""The messages in the reader's language: the type of a route's parameter."""


def language_of(request: Request) -> str:
    """Return the language to answer in."""
    return choose(chosen=request.cookies.get(COOKIE), accepted=request.headers.get("accept-language", ""))


def identity_of(request: Request) -> Identity | None:
    """Return who makes the request, as its route found out; None before, and where it does not matter."""
    return request.scope.get(_IDENTITY)


def remember_identity(request: Request, identity: Identity) -> None:
    """Keep who makes the request for what follows."""
    request.scope[_IDENTITY] = identity


def remember_root(request: Request) -> None:
    """Keep the path below which the console is reached, before a route for the files below it makes that its own."""
    request.scope[_ROOT] = str(request.scope.get("root_path", "")).rstrip("/")


def root_of(request: Request) -> str:
    """Return the path below which the console is reached; empty where it has the host for itself."""
    return str(request.scope[_ROOT])


def path_of(request: Request) -> str:
    """Return the path of a request within the console."""
    return request.url.path.removeprefix(root_of(request))


def here(request: Request) -> str:
    """Return the path and query of a request, to come back to it."""
    path = request.url.path if request.url.path.startswith(root_of(request)) else root_of(request) + request.url.path
    return quote(path, safe="/%~@:!$&'()*+,;=") + (f"?{request.url.query}" if request.url.query else "")


def way_back(request: Request, path: str) -> str:
    """Return where to go on at: a path of this console, its first page for anything else.

    What another site could have put into a link never leads away from here.
    """
    home = f"{root_of(request)}/"
    if not path.startswith(home) or path.startswith("//") or "\\" in path or not path.isprintable():
        return home
    return path
