"""Addresses that a webhook can and cannot have."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.addresses import is_public
from shared.core.errors import InvalidRequest
from shared.core.webhook_urls import check

PRIVATE = [
    "0.0.0.0",  # noqa: S104
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "255.255.255.255",
    "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::",
    "2001:db8::1", "2001:db8:ffff::1",
    "0.1.2.3", "100.127.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.0.192", "192.88.99.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "239.255.255.255", "255.0.0.1",
    "fe80::a9fe:a9fe", "febf::1", "fec0::1", "feff::1", "fc00::1", "fdff::1", "ff0e::1", "100::1", "100:0:0:1::1",
    "5f00::1", "3fff::1", "3fff:fff::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1", "4000::1", "::2",
    "::8.8.8.8", "::ffff:0:127.0.0.1", "::ffff:100.64.0.1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "64:ff9b:1:ffff::8.8.8.8", "2002:a00:1::1", "2002:808:808::1", "2001:0:808:808::1", "2001::a9fe:a9fe",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
        ),
        *("2606:4700:4700::1111", "2001:200::1", "2003::1", "3ffe::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_what_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://hook.example/",
        "https://hook.example:8443/a/b?c=d",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/x",
    ],
)
def test_taken(url: str) -> None:
    check(url, local=False)


@pytest.mark.parametrize(
    "url",
    [
        "", "hook", "//hook.example", "http://hook.example/", "ftp://hook.example/", "file:///etc/passwd", "https://",
        "https:///path", "https://user@hook.example/", "https://user:pw@hook.example/", "https://hook.example/#part",
        "https://hook.example:0/", "https://hook.example:99999/", "https://hook.example:x/", "https://[::1",
        "https://hook.example/\r\nx: y", "https://hook.example\\@evil.example/", "https://h\u00f6\u00f6k.example/",
        "https://hook.example/" + "x" * 2048, *(f"https://{a}/" for a in PRIVATE if ":" not in a),
        *(f"https://[{a}]/" for a in PRIVATE if ":" in a and "%" not in a),
    ],
)  # fmt: skip
def test_refused_with_its_field(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check(url, local=False)
    assert refused.value.param == "webhook.url"


def test_the_local_stack_takes_this_machine() -> None:
    check("http://127.0.0.1:9000/hook", local=True)
    with pytest.raises(InvalidRequest):
        check("ftp://127.0.0.1/", local=True)


@given(st.text(), st.booleans())
def test_noise_is_refused_and_breaks_nothing(text: str, local: bool) -> None:  # noqa: FBT001
    for url in (text, f"https://{text}"):
        with suppress(InvalidRequest):
            check(url, local=local)
