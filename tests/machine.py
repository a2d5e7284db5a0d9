"""What a test asks of the machine that it runs on."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

PORTS = range(20_000, 32_768)
"""Below those that the system itself gives out: a port found free is not taken by a connection to somewhere else."""
_chance = random.SystemRandom()
"""Of its own, for the tests' chance is the same in every process."""


def free_port() -> int:
    """A loopback port on which nothing listens."""
    while True:
        port = _chance.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def is_running(pid: int) -> bool:
    """Whether there is such a process, the dead ones that nobody has asked about left out."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()
