"""A page of a list as an answer."""

from typing import Any

from shared.web.reply import Reply


def cursor_list(data: list[dict[str, Any]], next_cursor: str) -> Reply:
    """The next page begins behind `next_cursor`; empty on the last one."""
    return Reply.json(
        {"object": "list", "data": data, "has_more": bool(next_cursor), "next_cursor": next_cursor or None}
    )


def id_list(data: list[dict[str, Any]], *, has_more: bool) -> Reply:
    """As OpenAI's clients read it: the next page begins behind `last_id`."""
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return Reply.json({"object": "list", "data": data, **ends, "has_more": has_more})
