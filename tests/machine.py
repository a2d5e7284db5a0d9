"""What a test asks of the machine that it runs on."""

import os
import socket
from pathlib import Path


def free_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
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
