"""Builds a Dockerfile without Docker: its steps are run as they stand, in a root of their own laid over this machine's.

A change of root and an overlay need root's rights and Linux; this machine's Python stands in for the base image's.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
INSTRUCTION = re.compile(r"^([A-Z]+)\s+(.*)$", re.DOTALL)
PYTHON = "/opt/python"
"""Where this machine's Python stands in the image; its own place may be closed to the image's account."""
INHERITED = ("HOME", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")
ENTER = """
set -e
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount --bind "$4" "$1/root$5"
root="$1/root"; directory="$2"; account="$3"; shift 5
exec chroot --userspec="$account" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
"""


@dataclass
class Image:
    """The stages share one root: what is copied from one to another is there already."""

    folder: Path
    environment: dict[str, str]
    directory: str = "/"
    account: str = "0:0"
    command: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Where a path of the image is written on this machine."""
        return self.folder / "upper" / os.path.join(self.directory, inside).lstrip("/")  # noqa: PTH118

    def enter(self, *words: str) -> list[str]:
        changes = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]
        return [*changes, str(self.folder), self.directory, self.account, sys.base_prefix, PYTHON, *words]

    @contextmanager
    def running(self, log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        """The image's command."""
        given = {**self.environment, **environment}
        with (
            log.open("wb") as out,
            subprocess.Popen(self.enter(*self.command), env=given, stdout=out, stderr=out) as run,
        ):
            try:
                yield run
            finally:
                _kill_first_in_namespace(run.pid)
                run.kill()


def _kill_first_in_namespace(maker: int) -> None:
    """All that runs in it ends too. `--kill-child` alone does not: a change of the account switches it off."""
    for child in Path(f"/proc/{maker}/task/{maker}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def build(dockerfile: Path, folder: Path) -> Image:
    for part in ("upper", "work", "root"):
        (folder / part).mkdir(parents=True)
    (folder / "upper" / PYTHON.lstrip("/")).mkdir(parents=True)
    places = {"PATH": f"{PYTHON}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{PYTHON}/lib"}
    image = Image(folder, {**places, **_inherited()})
    if subprocess.run(image.enter("true"), env=image.environment, capture_output=True, check=False).returncode:
        pytest.skip("an image's steps need a root of their own: Linux, root's rights and overlay mounts (run as root)")
    for name, rest in _instructions(dockerfile):
        _perform(image, name, rest)
    return image


def _inherited() -> Mapping[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def _instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    for text in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        if found := INSTRUCTION.match(text):
            yield found[1], found[2]


def _perform(image: Image, name: str, rest: str) -> None:
    match name:
        case "RUN":
            done = subprocess.run(
                image.enter("/bin/sh", "-c", rest), env=image.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"RUN {rest}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        case "COPY":
            _copy(image, rest.split())
        case "WORKDIR":
            image.directory = rest
            image.path(".").mkdir(parents=True, exist_ok=True)
        case "ENV":
            image.environment |= {key: _expanded(value, image.environment) for key, value in _pairs(rest)}
        case "USER":
            image.account = f"{rest}:{rest}"
        case "CMD":
            image.command = [word.strip(' "') for word in rest.strip("[]").split(",")]
        case "FROM" | "EXPOSE" | "ARG" | "ENTRYPOINT":
            pass
        case _:
            raise AssertionError(f"{name} is not known here")


def _copy(image: Image, words: list[str]) -> None:
    if words[0].startswith("--from="):
        return
    *sources, target = words
    for source in sources:
        found, wanted = CHECKOUT / source, image.path(target)
        if found.is_dir():
            shutil.copytree(found, wanted, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into = wanted / found.name if target.endswith("/") else wanted
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, into)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for word in shlex.split(text):
        key, _, value = word.partition("=")
        yield key, value


def _expanded(value: str, environment: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: environment.get(found[1], ""), value)
