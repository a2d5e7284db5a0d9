"""The machine's clock."""

import time


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
