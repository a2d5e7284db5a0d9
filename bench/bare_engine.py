"""The worker's engine alone: `python -m bench.bare_engine` prints the headers that it asks for and its address, once
the model is loaded."""

import asyncio

from jobs.ml_worker.engines.llama_cpp import LlamaCpp
from shared.settings import Settings


async def main() -> None:
    engine = LlamaCpp(Settings.load())
    started = await engine.start()
    for name, value in started.headers:
        print(f"{name}: {value}")
    print(started.base_url, flush=True)
    await engine.ended()


if __name__ == "__main__":
    asyncio.run(main())
