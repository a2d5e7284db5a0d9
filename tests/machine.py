"""What a test asks of the machine that it runs on."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

from local.addresses import INTERNAL_PORTS

PORTS = range(INTERNAL_PORTS.stop, 32_768)
"""Above those that a local stack chooses from, and below those that the system gives to connections."""
_chance = random.SystemRandom()
"""Of its own, for the tests' chance is the same in every process."""


def free_port() -> int:
    """A loopback port on which nothing listens. No other test on this machine gets it while this process lives: its
    UDP port stays bound."""
    while True:
        address = ("127.0.0.1", _chance.choice(PORTS))
        with suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as claim, socket.create_server(address):
            claim.bind(address)
            claim.detach()
            return address[1]


def is_running(pid: int) -> bool:
    """Whether there is such a process, the dead ones that nobody has asked about left out."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()
