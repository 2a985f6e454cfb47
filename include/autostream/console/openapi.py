"""The description of the REST interface at `/openapi.json`: what is declared is what comes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from autostream.console.guard import decision
from autostream.console.problems import MEDIA_TYPE, declared

FAILURES_OF_ALL: Final = declared(400, 401, 403, 429, 500, 503)
"""What any route may fail by; each declares only what else it may."""

_SCHEME: Final = "token"
_VALIDATION: Final = ("HTTPValidationError", "ValidationError")


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        _SCHEME: {"type": "http", "scheme": "bearer", "description": "A token of `autostream token create`."}
    }
    for name in _VALIDATION:
        components.get("schemas", {}).pop(name, None)
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods:
                _complete(document["paths"][route.path_format][method.lower()], route)
    return document


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    """Add who may use a route, and have its failures as they come: what FastAPI calls invalid is answered by 400."""
    if permission := decision(route):
        operation["security"] = [{_SCHEME: []}]
        operation["x-permission"] = permission.value
    responses = operation["responses"]
    for status in [status for status in responses if int(status) >= HTTPStatus.BAD_REQUEST]:
        schema = responses[status]["content"]["application/json"]["schema"]
        if schema["$ref"].rpartition("/")[2] in _VALIDATION:
            del responses[status]
        else:
            responses[status]["content"] = {MEDIA_TYPE: {"schema": schema}}
