import random
import socket
from pathlib import Path

import pytest

from local.addresses import HOST, INTERNAL_PORTS, Addresses, PortTaken
from tests.machine import free_port

draw = random.Random().choice


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ports.json"


def test_a_taken_port_is_named_with_the_way_out(file: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"port {port} is taken .* --port {port + 1}"):
            Addresses.choose(port, file, draw)


def test_internal_ports_are_drawn_until_they_are_free_and_differ(file: Path) -> None:
    gateway, taken, routes, worker = free_port(), free_port(), free_port(), free_port()
    draws = iter([gateway, taken, routes, routes, worker])

    with socket.create_server((HOST, taken)):
        addresses = Addresses.choose(gateway, file, lambda _: next(draws))

    assert addresses == Addresses(gateway, routes, worker)


def test_the_next_start_has_the_same_internal_ports(file: Path) -> None:
    """A task in the queue names the worker's address, and must reach it after a restart."""
    first, second = (Addresses.choose(free_port(), file, draw) for _ in range(2))

    assert (first.routes, first.worker) == (second.routes, second.worker)


def test_a_remembered_port_that_was_taken_meanwhile_is_drawn_anew(file: Path) -> None:
    first = Addresses.choose(free_port(), file, draw)

    with socket.create_server((HOST, first.worker)):
        second = Addresses.choose(free_port(), file, draw)

    assert second.worker != first.worker


def test_a_damaged_memory_is_no_obstacle(file: Path) -> None:
    file.write_text("{")

    Addresses.choose(free_port(), file, draw)


def test_the_chosen_ports_are_left_free(file: Path) -> None:
    addresses = Addresses.choose(free_port(), file, draw)

    socket.create_server((HOST, addresses.gateway)).close()


def test_no_outgoing_connection_can_take_an_internal_port() -> None:
    assert max(INTERNAL_PORTS) < 32768  # Linux's first; others begin later
