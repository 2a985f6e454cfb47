"""What the OpenAPI document declares is what comes; `Browser` checks each answer of the other tests against it."""

from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute

from autostream.access.roles import Role
from autostream.exact_ids import is_id
from tests.console.support import Browser, known_app


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_answer_is_declared_with_a_model(configured: object) -> None:
    document = Browser(known_app(Role.VIEWER)).get("/openapi.json").json()
    assert set(document["paths"]) >= {"/api/me", "/healthz", "/api/tables/{table}/watermark"}

    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        for status, answer in operation["responses"].items():
            ((media_type, content),) = answer["content"].items()
            schema = content["schema"]
            if int(status) < 400:
                assert media_type == "application/json", name
                assert all(part.keys() == {"$ref"} for part in schema.get("anyOf", [schema]) if "title" not in part), (
                    name
                )
            else:
                assert (media_type, schema) == (
                    "application/problem+json",
                    {"$ref": "#/components/schemas/Problem"},
                ), name
        assert operation["responses"].keys() >= {"200", "400", "401", "403", "429", "500", "503"}, name
    for name, schema in document["components"]["schemas"].items():
        assert schema["type"] in ("object", "string"), name
        for key, field in schema.get("properties", {}).items():
            assert field.keys() & {"type", "anyOf", "$ref", "allOf"}, (name, key)
            types = {each.get("type") for each in field.get("anyOf", [field])}
            # A field of a name by which commands make texts of great ids is declared, and so answered, as they print.
            assert not (is_id(key) and "integer" in types) or "string" in types, (name, key)


def test_everything_below_api_is_described(configured: object) -> None:
    app = known_app(Role.VIEWER)
    hidden = [route.path for route in app.routes if isinstance(route, APIRoute) and not route.include_in_schema]

    assert [path for path in hidden if path.startswith("/api/")] == []


def test_it_says_who_may_use_each_route(configured: object) -> None:
    document = Browser(known_app(Role.VIEWER)).get("/openapi.json").json()

    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for name, operation in operations(document):
        assert ("security" in operation) == (name != "get /healthz"), name
    assert document["paths"]["/api/me"]["get"]["x-permission"] == "read"
