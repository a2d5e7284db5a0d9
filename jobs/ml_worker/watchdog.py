"""Whether an engine's loop still turns: a schema of a hundred bytes can stop it for minutes, also when its caller has
left. An engine that stands still is given up, and started again."""

import asyncio

from jobs.ml_worker.engines.client import EngineClient

PAUSES = 10
"""How many times in the patience an engine that answers is asked."""
SILENT_AFTER = 1 / 3
"""Of the patience; from then on no more requests are sent to the engine."""


class Watchdog:
    def __init__(self, client: EngineClient, page: str, patience_s: float) -> None:
        """`page` is one that the engine answers out of its loop; empty: there is none, and nothing is watched."""
        self._client = client
        self._page = page
        self._patience_s = patience_s
        self.is_silent = False
        """Whether the engine owes an answer."""
        self.gave_up = False

    async def stalled(self) -> str:
        """Returns, saying so, once the engine has stood still for longer than the patience."""
        if not self._page:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._patience_s / PAUSES)
            asking = asyncio.ensure_future(self._client.answers(self._page, self._patience_s))
            try:
                done, _ = await asyncio.wait({asking}, timeout=self._patience_s * SILENT_AFTER)
                self.is_silent = not done
                self.gave_up = not await asking
            finally:
                asking.cancel()
            if self.gave_up:
                return f"The engine stood still for {self._patience_s:g} s."
            self.is_silent = False
