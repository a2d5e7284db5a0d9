from itertools import count
from pathlib import Path

import pytest

from local.credentials import Credentials, UnusableCredentials, write_private
from shared.core.keys import Tier, digest, static_keys


def numbered() -> str:
    return f"secret{next(NUMBERS)}"


NUMBERS = count()


def test_the_secrets_of_a_folder_are_made_once(tmp_path: Path) -> None:
    assert Credentials.made_once(tmp_path, numbered) == Credentials.made_once(tmp_path, numbered)


def test_the_four_secrets_differ(tmp_path: Path) -> None:
    made = Credentials.made_once(tmp_path, numbered)

    assert len({made.caller_private_key, made.key_pepper, made.master_key, made.webhook_key}) == 4


def test_an_older_folder_keeps_its_secrets_and_gets_those_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"signing_key": "s", "key_pepper": "p", "master_key": "m"}')

    made = Credentials.made_once(tmp_path, numbered)

    assert (made.key_pepper, made.master_key) == ("p", "m")
    assert made.webhook_key
    assert made.caller_private_key
    assert Credentials.made_once(tmp_path, numbered) == made


def test_the_master_key_is_a_master_of_the_local_tenant(tmp_path: Path) -> None:
    key = Credentials.made_once(tmp_path, numbered).master_key

    caller = static_keys(key)[digest(key)]
    assert (caller.tier, caller.tenant) == (Tier.MASTER, "local")


def test_only_the_owner_can_read_what_is_private(tmp_path: Path) -> None:
    Credentials.made_once(tmp_path, numbered)
    write_private(tmp_path / "dev.env", "first")
    write_private(tmp_path / "dev.env", "second")

    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "secrets.json": 0o600,
        "dev.env": 0o600,
    }
    assert (tmp_path / "dev.env").read_text() == "second"


def test_a_damaged_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")

    with pytest.raises(UnusableCredentials, match=r"secrets\.json is damaged"):
        Credentials.made_once(tmp_path, numbered)
