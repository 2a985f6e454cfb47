"""The REST interface in words: the reference in the documentation, made of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autostream.config import Settings
from autostream.console.alone import AloneAccess
from autostream.console.app import create_app
from autostream.console.openapi import openapi_document


def markdown() -> str:
    """Return the reference: a heading for each route, then what it takes, and what it answers."""
    document = openapi_document(create_app(AloneAccess(Settings())))
    lines = [
        line
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for line in _operation(f"{method.upper()} {path}", operation)
    ]
    schemas = document["components"]["schemas"]
    answers = [line for name in sorted(schemas) for line in _schema(name, schemas[name])]
    return "\n".join([*lines, "## Answers", "", *answers]).rstrip() + "\n"


def _operation(title: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"## {title}", "", " ".join(operation.get("description", operation["summary"]).split()), "")
    yield from (f"Permission: {operation.get('x-permission', 'none, not even a login')}.", "")
    if parameters := operation.get("parameters"):
        yield from ("| parameter | type | default | meaning |", "| --- | --- | --- | --- |")
        for parameter in parameters:
            default = "required" if parameter["required"] else _default(parameter["schema"].get("default"))
            meaning = parameter.get("description") or ("In the path." if parameter["in"] == "path" else "")
            yield f"| `{parameter['name']}` | {_type(parameter['schema'])} | {default} | {_cell(meaning)} |"
        yield ""
    if body := operation.get("requestBody"):
        yield from (f"Body: {', '.join(map(_content, body['content'].values()))}.", "")
    for status, response in operation["responses"].items():
        if int(status) < 400:
            content = ", ".join(map(_content, response.get("content", {}).values()))
            yield from (f"Answer {status}: {content or 'nothing'}.", "")
    failures = sorted(int(status) for status in operation["responses"] if int(status) >= 400)
    yield from (f"Failures: {', '.join(map(str, failures))}.", "")


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "")
    if about := schema.get("description"):
        yield from (" ".join(about.split("\n\n")[0].split()), "")
    if choices := schema.get("enum"):
        yield from (f"One of {', '.join(f'`{choice}`' for choice in choices)}.", "")
    if fields := schema.get("properties"):
        yield from ("| field | type | meaning |", "| --- | --- | --- |")
        for key, field in fields.items():
            yield f"| `{key}` | {_type(field)} | {_cell(' '.join(field.get('description', '').split()))} |"
        yield ""


def _content(content: Mapping[str, Any]) -> str:
    return _type(content.get("schema", {}))


def _type(schema: Mapping[str, Any]) -> str:
    """Return what a value is, with a link to what it is made of."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, either)))
    if choices := schema.get("enum"):
        return ", ".join(f"`{choice}`" for choice in choices)
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any value"))


def _default(value: Any) -> str:
    return "–" if value is None else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
