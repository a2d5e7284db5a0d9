"""What the processes say: every line goes to the screen, to one bounded file a process, and its last ones are kept."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

SUPERVISOR = "omni"
LARGEST_FILE = 5 * 1024 * 1024
LINES_KEPT = 15
COLOURS = (36, 35, 34, 33, 32)
"""ANSI codes of the tags, in the order in which the processes first speak."""
SEVERITY_COLOURS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31}
SHOWN_APART = frozenset({"time", "severity", "service", "logger", "message", "exception"})

Screen = Callable[[str, str], None]
"""Shows one line of the process whose name comes first."""


class Journal:
    def __init__(self, folder: Path, screen: Screen, now: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._screen = screen
        self._now = now
        self._files: dict[str, BoundedFile] = {}
        self._last: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LINES_KEPT))

    def hear(self, name: str, line: str) -> None:
        """Takes one line that the process of this name wrote."""
        self._last[name].append(line)
        if name not in self._files:
            self._files[name] = BoundedFile(self._folder / f"{name}.log", LARGEST_FILE)
        self._files[name].write(line)
        self._screen(name, line)

    def note(self, message: str, severity: str = "INFO") -> None:
        """Takes the supervisor's own word."""
        line = {"time": round(self._now(), 3), "severity": severity, "service": SUPERVISOR, "message": message}
        self.hear(SUPERVISOR, msgspec.json.encode(line).decode())

    def begin(self, name: str) -> None:
        """The process starts: its last lines are from now on those of this run."""
        self._last[name].clear()

    def last_lines(self, name: str) -> list[str]:
        return list(self._last[name])

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class BoundedFile:
    """A log file that becomes `<name>.1` when it is full, in place of the one before."""

    def __init__(self, path: Path, largest: int) -> None:
        self._path = path
        self._largest = largest
        self._file = path.open("ab")

    def write(self, line: str) -> None:
        text = line.encode(errors="replace") + b"\n"
        if self._file.tell() + len(text) > self._largest:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file = self._path.open("ab")
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def json_screen(file: IO[str]) -> Screen:
    """For programs that read the log: JSON lines as they come, and what is not JSON wrapped into it."""

    def show(name: str, line: str) -> None:
        wrapped = line if line.startswith("{") else msgspec.json.encode({"service": name, "message": line}).decode()
        _write(file, wrapped + "\n")

    return show


def terminal_screen(file: IO[str]) -> Screen:
    """For people: a coloured tag, the time, the message, and the fields as `name=value`."""
    colours: dict[str, int] = {}

    def show(name: str, line: str) -> None:
        colour = colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)])
        tag = _coloured(f"{name:<10} │", colour)
        _write(file, "".join(f"{tag} {part}\n" for part in compact(line).splitlines() or [""]))

    return show


def compact(line: str) -> str:
    """A JSON log line as a person reads it; anything else unchanged."""
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line
    if not isinstance(record, dict) or "message" not in record:
        return line
    parts = [_time_of_day(record), _severity(record), str(record["message"]), *_fields(record)]
    text = " ".join(part for part in parts if part)
    return f"{text}\n{record['exception']}" if "exception" in record else text


def _time_of_day(record: Mapping[str, Any]) -> str:
    at = record.get("time")
    return time.strftime("%H:%M:%S", time.localtime(at)) if isinstance(at, int | float) else ""


def _severity(record: Mapping[str, Any]) -> str:
    severity = str(record.get("severity", ""))
    return _coloured(severity, SEVERITY_COLOURS[severity]) if severity in SEVERITY_COLOURS else ""


def _fields(record: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in record.items() if name not in SHOWN_APART]


def _coloured(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def _write(file: IO[str], text: str) -> None:
    with suppress(BrokenPipeError):  # nobody looks any more; the log files still get it all
        file.write(text)
        file.flush()
