"""Where a webhook may be sent: what can be told from the address itself, before its name is looked up."""

import re
from urllib.parse import SplitResult, urlsplit

from shared.core.addresses import is_public
from shared.core.errors import InvalidRequest

MOST_CHARACTERS = 2048
VISIBLE = re.compile(r"[\x21-\x7e]+")
IP_LITERAL = re.compile(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.%]*")


def check(url: str, *, local: bool) -> None:
    """InvalidRequest (param `webhook.url`) says what is wrong. `local`: this machine and plain HTTP will do."""
    if len(url) > MOST_CHARACTERS or not VISIBLE.fullmatch(url) or "\\" in url:
        raise _refusal(f"must be an address of visible ASCII, {MOST_CHARACTERS} characters at most")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refusal("is not an address") from None
    if reason := _reason(parts, host, port, local=local):
        raise _refusal(reason)


def private(host: str) -> InvalidRequest:
    """The refusal of a host that is not on the public internet."""
    return InvalidRequest(
        f"'webhook.url' leads to an address that is not on the public internet: {host[:200]}.",
        param="webhook.url",
        code="webhook_address_not_allowed",
    )


def _reason(parts: SplitResult, host: str | None, port: int | None, *, local: bool) -> str:
    if parts.scheme not in (("http", "https") if local else ("https",)):
        return "must begin with https://"
    if not host or port == 0:
        return "names no host that could be called"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "may have neither a user, a password nor a fragment"
    if not local and IP_LITERAL.fullmatch(host) and not is_public(host):
        raise private(host)
    return ""


def _refusal(reason: str) -> InvalidRequest:
    return InvalidRequest(f"'webhook.url' {reason}.", param="webhook.url", code="invalid_value")
