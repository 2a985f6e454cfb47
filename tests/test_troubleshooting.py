"""The guide to messages quotes messages that exist."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "troubleshooting.md").read_text()
SYMPTOMS = ("A task stays", "The connection type is not")
MESSAGES = [title for title in re.findall(r"^### (.*)$", GUIDE, re.M) if not title.startswith(SYMPTOMS)]


def texts(file: Path) -> Iterator[str]:
    """Yield the texts of a module, with … for what is put into them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def all_texts() -> str:
    files = [*(ROOT / "include").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    return "\n".join(text for file in files for text in texts(file))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_one_of_the_code(message: str) -> None:
    assert message.removesuffix("…").strip() in all_texts()


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 20
    assert "Table … is in another house" not in all_texts()
