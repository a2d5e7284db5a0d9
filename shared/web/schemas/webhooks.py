"""Webhooks: their secrets and their deliveries."""

from typing import Annotated, Literal

from pydantic import Field

from shared.web.schemas.jobs import JobEvent
from shared.web.schemas.strict import Open, Strict


class WebhookSecretRequest(Strict):
    expire_others_after_s: Annotated[float, Field(ge=0, le=30 * 24 * 3600)] | None = None
    """Replaces the older secrets: they go on signing for so many seconds; null leaves them as they are."""


class WebhookSecretView(Open):
    id: str
    object: Literal["webhook.secret"]
    created_at: float
    """Seconds since 1970, as in every field that ends in `_at`."""
    expires_at: float | None
    """From then on it signs no more; null: until it is deleted."""


class NewWebhookSecret(WebhookSecretView):
    secret: str
    """Begins with `whsec_`; shown this once."""


class WebhookSecretList(Open):
    object: Literal["list"]
    data: list[WebhookSecretView]


class DeletedWebhookSecret(Open):
    id: str
    object: Literal["webhook.secret"]
    deleted: Literal[True]


class WebhookAttempt(Open):
    at: float
    status: int
    """What the receiver answered; 0 when it did not."""
    reason: str
    """Why there was no answer; empty when there was one."""
    took_s: float


class WebhookDelivery(Open):
    id: str
    """The `webhook-id` header of every attempt."""
    object: Literal["webhook.delivery"]
    job_id: str
    event: JobEvent
    url: str
    state: Literal["pending", "delivered", "failed", "disabled"]
    """`disabled`: the receiver answered 410; a redelivery that it takes enables its address again."""
    created_at: float
    next_attempt_at: float | None
    """Null when there is none to come."""
    attempts: list[WebhookAttempt]
    """The last 20, oldest first."""
    payload: str | None = None
    """The body that is sent, to the byte; lists leave it out."""


class WebhookDeliveryList(Open):
    object: Literal["list"]
    data: list[WebhookDelivery]
    has_more: bool
    next_cursor: str | None
    """What to send as `after` for the next page."""


class DeliveryWakeUp(Strict):
    """What the queue posts: the delivery to send, and which of its wake-ups this is."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    seq: Annotated[int, Field(ge=0)]
    tenant: Annotated[str, Field(max_length=200)] = ""
    deferred: Annotated[int, Field(ge=0)] = 0


class Nothing(Open):
    """An empty object."""
