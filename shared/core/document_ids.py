"""Ids of documents that are found by texts which may hold any characters."""

import hashlib


def digest_id(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
