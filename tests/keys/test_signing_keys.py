"""The signing key is replaced while everything runs, and no call is refused meanwhile."""

import pytest

from shared.core.errors import Unavailable
from shared.core.keys import SYSTEM
from shared.core.signing import sign
from shared.keys.signing import SigningKeys
from shared.settings import SettingsError
from tests.fakes import FakeSecrets

NOW = 1_800_000_000.0


def source(keys: str) -> FakeSecrets:
    return FakeSecrets(OMNI_SIGNING_KEY=keys)


def call(signer: SigningKeys, checker: SigningKeys) -> bool:
    """Whether what one process signs is believed by the other."""
    return checker.verify(sign(SYSTEM, signer.newest(), NOW), NOW) == SYSTEM


def test_the_first_key_signs_and_every_key_is_accepted() -> None:
    old, both = SigningKeys(source("old")), SigningKeys(source("new, old"))
    assert both.newest() == b"new"
    assert call(old, both)
    assert call(both, both)


def test_a_new_key_is_looked_for_when_a_signature_fits_none() -> None:
    """Whichever process learns of the new key first."""
    secrets = source("old")
    checker = SigningKeys(secrets)
    secrets.values["OMNI_SIGNING_KEY"] = "new,old"
    assert call(SigningKeys(source("new,old")), checker)


def test_a_key_that_was_taken_away_is_accepted_no_more() -> None:
    assert not call(SigningKeys(source("old")), SigningKeys(source("new")))


def test_a_good_signature_asks_nothing_of_the_source() -> None:
    secrets = source("key")
    checker = SigningKeys(secrets)
    for _ in range(10):
        assert call(checker, checker)
    assert secrets.waits == 1


@pytest.mark.parametrize("text", ["", " , "])
def test_without_a_key_there_is_no_start(text: str) -> None:
    with pytest.raises(SettingsError, match="OMNI_SIGNING_KEY"):
        SigningKeys(source(text))


def test_a_source_that_is_down_at_the_start_is_waited_for() -> None:
    secrets = source("key")
    secrets.is_down = True
    keys = SigningKeys(secrets)
    with pytest.raises(Unavailable):
        keys.newest()
    secrets.is_down = False
    assert keys.newest() == b"key"


def test_a_key_taken_away_for_good_is_unavailable_by_name() -> None:
    secrets = source("key")
    keys = SigningKeys(secrets)
    secrets.values.clear()
    secrets.grow_old()
    with pytest.raises(Unavailable) as refusal:
        keys.newest()
    assert "OMNI_SIGNING_KEY" in refusal.value.detail
