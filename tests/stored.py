"""What a platform's embedded store holds, read past the queries that it serves."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def documents(folder: Path, collection: str) -> list[dict[str, Any]]:
    """None when nobody has used the store yet."""
    with closing(sqlite3.connect(folder / "omni.db")) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [collection]).fetchone():
            return []
        return [json.loads(body) for (body,) in database.execute(f"SELECT body FROM {collection}")]  # noqa: S608
