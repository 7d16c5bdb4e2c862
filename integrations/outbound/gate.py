"""What may hold a call back before it is made: limits and the breaker, given to the guard as a value."""

from __future__ import annotations

from typing import Protocol


class Gate(Protocol):
    """Decides whether a call may go out now."""

    def enter(self, operation: str) -> None:
        """
        Let the call pass, or refuse it.

        :raises RateLimited: a limit is reached; `retry_after_s` says when to come back
        :raises Unavailable: the breaker is open
        """
        ...


class OpenGate:
    """Lets every call pass."""

    def enter(self, operation: str) -> None:
        """Let it pass."""
