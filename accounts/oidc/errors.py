"""What goes wrong with an OpenID Provider, each with a stable name for the log and the tests."""

from __future__ import annotations

from broker.errors import PosternError


class ProviderError(PosternError):
    """Nobody comes in. `why` is a stable name; message and hint may be shown to anybody and hold no secret."""

    def __init__(self, why: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.why = why


class ProviderFailed(ProviderError):
    """The provider does not answer, or not as it must: it, or how it is set up here, is at fault, nobody's sign-in."""


class NotBelieved(ProviderError):
    """What came back from the provider, or with a browser that says so, is not what we asked for."""
