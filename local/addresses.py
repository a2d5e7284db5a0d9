"""The ports of the local stack."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

HOST = "127.0.0.1"
INTERNAL_PORTS = range(20000, 30000)
"""Below the range from which systems take the ports of outgoing connections: one of those could otherwise take the
port of a crashed process before it is back."""


class PortTaken(Exception):
    """Another program listens on the gateway's port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken by another program; choose one with: ./omni up --port {port + 1}")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the three HTTP processes listen."""

    gateway: int
    routes: int
    worker: int

    @classmethod
    def choose(cls, gateway: int, draw: Callable[[range], int]) -> "Addresses":
        """The gateway's port, checked, and two free ones. `draw` picks a number of a range, as `random.choice` does.

        PortTaken when another program listens on the gateway's.
        """
        with ExitStack() as held:  # all at the same time, so that none is chosen twice
            if not _take(gateway, held):
                raise PortTaken(gateway)
            return cls(gateway, _free_port(draw, held), _free_port(draw, held))

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway}"

    @property
    def routes_url(self) -> str:
        return f"http://{HOST}:{self.routes}"

    @property
    def worker_url(self) -> str:
        return f"http://{HOST}:{self.worker}"


def _free_port(draw: Callable[[range], int], held: ExitStack) -> int:
    while not _take(port := draw(INTERNAL_PORTS), held):
        pass
    return port


def _take(port: int, held: ExitStack) -> bool:
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        return False
    return True
