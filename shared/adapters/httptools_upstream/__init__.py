"""The hot path's HTTP/1.1 client: an asyncio protocol over httptools' parser (docs/adr/0003)."""

from shared.adapters.httptools_upstream.upstream import HttptoolsUpstream

__all__ = ["HttptoolsUpstream"]
