"""Which of several recorders publishes."""

from __future__ import annotations

from typing import Protocol


class Leadership(Protocol):
    """Says whether this process is the one that publishes."""

    def leads(self) -> bool:
        """Whether it seems to be, without asking anybody."""
        ...

    def verify(self) -> None:
        """Make sure, right before a commit.

        Raises:
            ConflictError: it is not.
        """
        ...


class UncontestedLeadership:
    """Leadership without an election: every recorder publishes, and the comparison in commits keeps that safe."""

    def leads(self) -> bool:
        """Say yes."""
        return True

    def verify(self) -> None:
        """Find nothing wrong."""
