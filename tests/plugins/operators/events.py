"""What tasks announce."""

from typing import Any


class FakeEvents:
    """What a task has announced on one outlet."""

    def __init__(self) -> None:
        self.added: list[tuple[str, Any]] = []

    def add(self, asset: Any, *, extra: Any) -> None:
        self.added.append((asset.name, extra))
