"""What every source of secrets promises."""

from shared.ports.secrets import Secrets


def test_a_secret_comes_back_as_it_was_set(secrets: Secrets) -> None:
    assert secrets.get("API_KEYS") == "prod-key-acme-1,free-key-ann-1"
    assert secrets.get("UNICODE") == "naïve 名"


def test_what_is_not_there_is_none(secrets: Secrets) -> None:
    for name in ("MISSING", "api_keys", "API_KEYS2", "", "no such name", "../API_KEYS", "API_KEYS/versions/x"):
        assert secrets.get(name) is None


def test_an_empty_secret_is_none(secrets: Secrets) -> None:
    assert secrets.get("EMPTY") is None


def test_what_was_read_is_at_hand(secrets: Secrets) -> None:
    for name in ("API_KEYS", "MISSING"):
        secrets.get(name)
        assert secrets.is_at_hand(name)


def test_a_value_may_be_asked_for_anew(secrets: Secrets) -> None:
    assert secrets.get("API_KEYS", max_age_s=0) == secrets.get("API_KEYS")
