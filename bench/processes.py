"""Starting a server on its core, and what the kernel knows of its process tree: memory and processor time."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.cores import pinned
from shared.settings import environment

CHECKOUT = Path(__file__).parent.parent
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR")
STOP_PATIENCE_S = 10
ADDRESS = re.compile(r"^http://[^/\s]*:(\d+)", re.MULTILINE)
POLL_S = 0.002
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The bench cannot go on; the message is for the person who ran it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server to start: nothing of the bench's own environment but the basics reaches it."""

    command: tuple[str, ...]
    port: int
    """0: it chooses one and prints its address on a line that begins with `http://`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = CHECKOUT
    """Where it is started."""


@dataclass(frozen=True, slots=True)
class Server:
    """A program that runs."""

    program: Program
    pid: int
    log: Path
    _process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        """Where it listens. Waits for the address that it prints, when it chooses the port by itself; BenchError when
        it ends before."""
        if self.program.port:
            return self.program.port
        while not (found := ADDRESS.search(self.log.read_text())):
            self.require_alive()
            time.sleep(POLL_S)
        return int(found[1])

    @property
    def name(self) -> str:
        return self.log.stem

    def require_alive(self) -> None:
        """BenchError, with the end of its log, when the process is gone."""
        if self._process.poll() is not None:
            raise BenchError(f"{self.name} ended with status {self._process.returncode}: {_last_line(self.log)}")

    def memory_bytes(self) -> int:
        """Proportional set size of the whole tree: pages that processes share are counted once."""
        return sum(_pss_bytes(pid) for pid in _tree(self.pid))

    def cpu_s(self) -> float:
        """Processor time the tree has used since its start."""
        return sum(_cpu_s(pid) for pid in _tree(self.pid))


@contextmanager
def running(program: Program, log: Path, *cores: int) -> Iterator[Server]:
    """Starts the program on these cores and, at the end, stops it with all its children."""
    kept = {name: value for name in KEPT_VARIABLES if (value := environment().get(name))}
    with log.open("wb") as output, pinned(*cores):
        process = subprocess.Popen(  # noqa: S603 - the commands are the contenders' own
            program.command,
            cwd=program.folder,
            env={**kept, **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Server(program, process.pid, log, process)
    finally:
        _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_PATIENCE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    found = [pid]
    for child in {int(text) for each in children for text in _read(each).split()}:
        found += _tree(child)
    return found


def _pss_bytes(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_s(pid: int) -> float:
    """Fields 14 and 15 of /proc/<pid>/stat, counted after the name, which may hold spaces."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S if fields else 0.0


def _read(path: Path) -> str:
    """A process may end between being listed and being read; then there is nothing to count."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
