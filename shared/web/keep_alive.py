"""How long a server keeps a connection on which nothing happens.

Longer than those who ask it keep theirs: a request that is sent into a connection that is just being closed is lost,
and what changes something cannot simply be sent again.
"""

KEEP_ALIVE_S = 75


def keep_connections() -> None:
    """Has the Functions Framework's servers do so, instead of gunicorn's 2 s. The framework takes no options for them;
    gunicorn's own default is the one place where it can be given."""
    from gunicorn.config import Keepalive  # type: ignore[import-untyped]

    Keepalive.default = KEEP_ALIVE_S
