"""The ports of the local stack."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

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
    def choose(cls, gateway: int, file: Path, draw: Callable[[range], int]) -> "Addresses":
        """The gateway's port, checked, and two free ones. `draw` picks a number of a range, as `random.choice` does.

        `file` remembers them: tasks that wait in the queue name the worker's address, and the next start should still
        have it. PortTaken when another program listens on the gateway's port.
        """
        before = cls._remembered(file)
        with ExitStack() as held:  # all at the same time, so that none is chosen twice
            if not _take(gateway, held):
                raise PortTaken(gateway)
            routes = _free_port(before.routes if before else None, draw, held)
            worker = _free_port(before.worker if before else None, draw, held)
        chosen = cls(gateway, routes, worker)
        file.write_bytes(msgspec.json.encode(chosen))
        return chosen

    @classmethod
    def _remembered(cls, file: Path) -> "Addresses | None":
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except (FileNotFoundError, msgspec.DecodeError):
            return None  # other ports do as well

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway}"

    @property
    def routes_url(self) -> str:
        return f"http://{HOST}:{self.routes}"

    @property
    def worker_url(self) -> str:
        return f"http://{HOST}:{self.worker}"


def free_port(draw: Callable[[range], int]) -> int:
    """A port for another process of the stack, which need not be the same the next time."""
    with ExitStack() as held:
        return _free_port(None, draw, held)


def _free_port(preferred: int | None, draw: Callable[[range], int], held: ExitStack) -> int:
    port = preferred or draw(INTERNAL_PORTS)
    while not _take(port, held):
        port = draw(INTERNAL_PORTS)
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
