"""The secrets that sign a tenant's webhooks: several at a time, so that one can be replaced while both sign.

A secret's text is kept nowhere. It is made from the platform's own secret OMNI_WEBHOOK_KEY, the tenant and the secret's
id, so the store alone is worth nothing to whoever reads it. Each secret remembers which key it was made with.
"""

import base64
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook

from shared.core.document_ids import digest_id
from shared.core.errors import Conflict, InvalidRequest, NotFound, Unavailable
from shared.ports.secrets import Secrets
from shared.ports.store import Store, Transaction
from shared.secret import Secret, newest_first

COLLECTION = "webhook_secrets"
KEY = "OMNI_WEBHOOK_KEY"
MOST_SECRETS = 5
"""Valid at the same time; each adds a signature to every delivery."""


@dataclass(frozen=True, slots=True)
class SigningSecret:
    id: str
    made_with: str
    """Tells which platform key it was made with, and nothing else of that key."""
    created_at: float
    expires_at: float | None = None
    """From then on it signs no more; None: until it is deleted."""

    def is_valid(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


Held = tuple[SigningSecret, ...]


class WebhookSecrets:
    def __init__(self, store: Store, source: Secrets, token: Callable[[int], str] = secrets.token_hex) -> None:
        self._store = store
        self._keys = Secret(source, KEY, newest_first)
        self._token = token

    def add(self, tenant: str, overlap_s: float | None = None) -> tuple[SigningSecret, str]:
        """A new secret and its text, which is told this once. With `overlap_s` the older ones end so much later.

        Conflict when there are MOST_SECRETS already; Unavailable without OMNI_WEBHOOK_KEY.
        """
        key = self._newest_key()
        secret_id = f"whs_{self._token(8)}"

        def work(held: Held, now: float) -> Held:
            if len(held) >= MOST_SECRETS:
                raise Conflict(f"A tenant has {MOST_SECRETS} webhook secrets at most; delete one first.")
            if overlap_s is not None:
                held = tuple(_ending(each, now + overlap_s) for each in held)
            return (SigningSecret(secret_id, _fingerprint(key), now), *held)

        made = self._change(tenant, work)[0]
        return made, _text(key, tenant, secret_id)

    def list(self, tenant: str, now: float) -> Held:
        """Those that sign, newest first."""
        return _valid(_held(self._store.get(COLLECTION, digest_id(tenant))), now)

    def delete(self, tenant: str, secret_id: str) -> None:
        """NotFound when there is none of that id."""

        def work(held: Held, _now: float) -> Held:
            kept = tuple(each for each in held if each.id != secret_id)
            if len(kept) == len(held):
                raise NotFound(f"There is no webhook secret '{secret_id[:100]}'.", code="webhook_secret_not_found")
            return kept

        self._change(tenant, work)

    def require(self, tenant: str, now: float) -> None:
        """InvalidRequest when nothing would sign the tenant's webhooks."""
        if not self.list(tenant, now):
            raise InvalidRequest(
                "There is no secret to sign webhooks with; make one with POST /api/v1/webhooks/secrets.",
                param="webhook",
                code="no_webhook_secret",
            )

    def headers(self, tenant: str, message_id: str, payload: str, now: float) -> dict[str, str] | None:
        """Standard Webhooks' headers with a signature by each valid secret; None when there is nothing to sign with."""
        keys = {_fingerprint(key): key for key in self._keys.value()}
        texts = [
            _text(keys[held.made_with], tenant, held.id) for held in self.list(tenant, now) if held.made_with in keys
        ]
        return signed(texts, message_id, payload, now) if texts else None

    def _change(self, tenant: str, step: Callable[[Held, float], Held]) -> Held:
        place = digest_id(tenant)

        def work(transaction: Transaction) -> Held:
            held = _valid(_held(transaction.get(COLLECTION, place)), transaction.now)
            after = step(held, transaction.now)
            transaction.put(COLLECTION, place, {"tenant": tenant, "secrets": msgspec.to_builtins(after)})
            return after

        return self._store.transact(work)

    def _newest_key(self) -> bytes:
        for key in self._keys.value():
            return key
        raise Unavailable(f"Webhooks need the secret {KEY}, which is not set.", code="no_webhook_key")


def signed(texts: list[str], message_id: str, payload: str, now: float) -> dict[str, str]:
    """The headers of a message, signed by each of the secrets."""
    at = datetime.fromtimestamp(int(now), UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(Webhook(text).sign(message_id, at, payload) for text in texts),
    }


def _text(key: bytes, tenant: str, secret_id: str) -> str:
    made = hmac.digest(key, f"webhook:{secret_id}:{tenant}".encode(), "sha256")
    return "whsec_" + base64.b64encode(made).decode()


def _fingerprint(key: bytes) -> str:
    return hmac.digest(key, b"fingerprint", "sha256").hex()[:16]


def _held(document: dict[str, object] | None) -> Held:
    return msgspec.convert(document["secrets"], Held) if document else ()


def _valid(held: Held, now: float) -> Held:
    return tuple(each for each in held if each.is_valid(now))


def _ending(secret: SigningSecret, at: float) -> SigningSecret:
    return replace(secret, expires_at=at if secret.expires_at is None else min(at, secret.expires_at))
