import random
import socket

import pytest

from local.addresses import HOST, INTERNAL_PORTS, Addresses, PortTaken
from tests.machine import free_port


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"port {port} is taken .* --port {port + 1}"):
            Addresses.choose(port, lambda ports: ports[0])


def test_internal_ports_are_drawn_until_they_are_free_and_differ() -> None:
    gateway, taken, routes, worker = free_port(), free_port(), free_port(), free_port()
    draws = iter([gateway, taken, routes, routes, worker])

    with socket.create_server((HOST, taken)):
        addresses = Addresses.choose(gateway, lambda _: next(draws))

    assert addresses == Addresses(gateway, routes, worker)


def test_the_chosen_ports_are_left_free() -> None:
    addresses = Addresses.choose(free_port(), random.Random().choice)

    socket.create_server((HOST, addresses.gateway)).close()


def test_no_outgoing_connection_can_take_an_internal_port() -> None:
    assert max(INTERNAL_PORTS) < 32768  # Linux's first; others begin later
