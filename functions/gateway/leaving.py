"""What is to be done when the process is asked to stop, while the server lets its last requests end."""

import asyncio
import atexit
import signal
import threading
from collections.abc import Callable
from types import FrameType


def when_leaving(at_once: Callable[[], None], at_exit: Callable[[], None]) -> None:
    """Runs one on the event loop when SIGTERM comes, and the other at the interpreter's exit, if it gets so far: the
    server ends its process by that signal once it has done its part."""
    atexit.register(at_exit)
    server = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(server):
        return
    loop = asyncio.get_running_loop()

    def leave(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(at_once)
        server(number, frame)

    signal.signal(signal.SIGTERM, leave)
