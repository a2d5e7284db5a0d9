"""Signatures that others can check, and secrets that can be replaced while both sign."""

import hashlib
import time

import pytest
from standardwebhooks import Webhook

from shared.core.errors import Conflict, InvalidRequest, NotFound, Unavailable
from shared.webhooks.secrets import MOST_SECRETS, signed
from tests import hooks
from tests.webhooks.post import Post

PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signatures(post: Post) -> list[str]:
    headers = post.webhooks.secrets.headers("acme", "msg_1", "{}", post.clock.now())
    return headers["webhook-signature"].split() if headers else []


def by(post: Post, secret: str) -> str:
    return signed([secret], "msg_1", "{}", post.clock.now())["webhook-signature"]


def test_the_published_vector() -> None:
    """The example of the Standard Webhooks specification and its libraries."""
    headers = signed([PUBLISHED_SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", '{"test": 2432232314}', 1614265330.9)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_what_is_sent_verifies_with_the_reference_library_by_either_secret(post: Post) -> None:
    secrets = [post.secret(), post.secret()]
    with hooks.receiving() as hook:
        post.clock.time = time.time()  # the library believes no timestamp that is 5 minutes off
        post.finished(hook.url, answer=42)
        post.work_off()
    (message,) = hook.messages
    for secret in secrets:
        assert Webhook(secret).verify(message.body, message.headers)["data"]["result"] == {"answer": 42}


def test_both_secrets_sign_during_the_overlap_and_then_the_new_one_alone(post: Post) -> None:
    old = post.secret()
    new = post.secret(expire_others_after_s=3600)
    assert set(signatures(post)) == {by(post, new), by(post, old)}
    post.clock.advance(3599)
    assert len(signatures(post)) == 2
    post.clock.advance(2)
    assert signatures(post) == [by(post, new)]
    assert len(post.webhooks.secrets.list("acme", post.clock.now())) == 1


def test_a_deleted_secret_signs_no_more(post: Post) -> None:
    made, _ = post.webhooks.secrets.add("acme")
    kept = post.secret()
    post.webhooks.secrets.delete("acme", made.id)
    assert signatures(post) == [by(post, kept)]
    with pytest.raises(NotFound):
        post.webhooks.secrets.delete("acme", made.id)


def test_the_store_holds_nothing_that_signs(post: Post) -> None:
    text = post.secret().removeprefix("whsec_")
    kept = str(post.store.get("webhook_secrets", hashlib.sha256(b"acme").hexdigest()))
    assert "whs_" in kept
    assert text not in kept
    assert "platform-key" not in kept


def test_tenants_do_not_share_secrets(post: Post) -> None:
    post.secret()
    with pytest.raises(InvalidRequest):
        post.webhooks.secrets.require("other", post.clock.now())
    assert post.webhooks.secrets.add("other")[1] != post.webhooks.secrets.add("acme")[1]


def test_a_new_platform_key_leaves_the_secrets_as_they_are(post: Post) -> None:
    old = post.secret()
    post.source.values["OMNI_WEBHOOK_KEY"] = "new-key, platform-key"
    post.source.grow_old()
    new = post.secret()
    assert signatures(post) == [by(post, new), by(post, old)]


def test_without_its_platform_key_nothing_is_sent_and_the_attempt_says_so(post: Post) -> None:
    post.secret()
    post.source.values.clear()
    post.source.grow_old()
    with hooks.receiving() as hook:
        job = post.finished(hook.url)
        post.work_off()
    assert hook.messages == []
    assert post.of(job).attempts[0].reason == "there is no secret to sign with"
    with pytest.raises(Unavailable) as refused:
        post.secret()
    assert refused.value.code == "no_webhook_key"


def test_there_is_a_most(post: Post) -> None:
    for _ in range(MOST_SECRETS):
        post.secret()
    with pytest.raises(Conflict):
        post.secret()
