"""POST /api/v1/keys: makes a managed key. Its text leaves the platform in this answer and is kept nowhere."""

import secrets

from functions.routes.context import Context
from shared.core.errors import Unavailable
from shared.core.keys import REQUESTS_PER_MINUTE, Tier, mint, peppered
from shared.ports.store import Document, Transaction
from shared.web.incoming import Incoming
from shared.web.reply import Reply
from shared.web.schemas.keys import KeyRequest
from shared.web.validation import parse


def handle(incoming: Incoming, context: Context) -> Reply:
    wanted = parse(KeyRequest, incoming.body, context.settings.max_json_depth)
    if not (pepper := context.ports.secrets.get("OMNI_KEY_PEPPER")):
        raise Unavailable("Managed keys need the secret OMNI_KEY_PEPPER, which is not set.", code="no_pepper")
    minted = mint(secrets.choice)
    document = _document(minted.id, wanted, peppered(minted.text, pepper.encode()), context.ports.clock.now())

    def create(transaction: Transaction) -> None:
        transaction.create("keys", minted.id, document)

    context.ports.store.transact(create)
    return Reply.json(view(document) | {"key": minted.text}, 201)


def view(document: Document) -> Document:
    """A key's record as its owner may see it."""
    return {name: value for name, value in document.items() if name != "hash"}


def _document(key_id: str, wanted: KeyRequest, hashed: str, now: float) -> Document:
    tier = Tier(wanted.tier)
    limit = wanted.requests_per_minute
    return {
        "id": key_id,
        "object": "key",
        "name": wanted.name,
        "tenant": wanted.tenant,
        "tier": tier.value,
        "scopes": sorted(wanted.scopes),
        "requests_per_minute": REQUESTS_PER_MINUTE[tier] if limit is None else limit,
        "hash": hashed,
        "created_at": now,
        "revoked_at": None,
    }
