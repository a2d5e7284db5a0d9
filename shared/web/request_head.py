"""A request's head as the server read it, whichever it was."""

from typing import NamedTuple

from shared.web.asgi import Message, RawHeaders


class RequestHead(NamedTuple):
    method: str
    path: str
    """Percent-decoded."""
    query: bytes
    headers: RawHeaders
    peer: str
    """What the server says of the connection's other end; see shared.core.addresses for what it is worth."""

    @classmethod
    def of_scope(cls, scope: Message) -> "RequestHead":
        client = scope.get("client")
        return cls(scope["method"], scope["path"], scope["query_string"], scope["headers"], client[0] if client else "")
