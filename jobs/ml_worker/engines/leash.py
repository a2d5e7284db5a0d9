"""Runs a program that must not outlive whoever started it: `python leash.py PROGRAM [ARGUMENT]...`.

It ends, and takes everything in its process group along, when its standard input does: servers leave children of their
own behind, and a parent-death signal reaches only the first of them.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  (the operator names the program)
    threading.Thread(target=_pull_when_let_go, daemon=True).start()
    status = child.wait()
    os._exit(status if status >= 0 else 128 - status)  # the other thread is still reading


def _pull_when_let_go() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
