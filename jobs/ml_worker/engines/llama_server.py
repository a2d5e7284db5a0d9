"""llama.cpp in a process of its own: `python -m jobs.ml_worker.engines.llama_server '<LlamaOptions as JSON>'`.

Of its own because loading holds Python's global lock to the end, and because a crash in there must not take the worker
along. Once it listens it says so in one line on standard output (LlamaStarted as JSON). It ends when its standard
input does, and so with the worker, however that ends.
"""

import http.client
import os
import sys
from typing import Any

import msgspec

PROMPT_CACHE_MIB = 128
"""For prompts of requests that have ended; llama.cpp's own default is 8 GiB."""


REASONING = ("reasoning_effort", "enable_thinking")
"""What the templates of models that reason look at."""
BATCH = 512
"""Most tokens of prompts in one turn of the loop, which answers nothing meanwhile; llama.cpp's own default is 2048."""


class LlamaOptions(msgspec.Struct, frozen=True):
    weights: str
    model_id: str
    slots: int
    context: int
    threads: int
    verbosity: int
    """llama.cpp's: 0 is silent, 1 tells errors, 3 is talkative."""


class LlamaStarted(msgspec.Struct, frozen=True):
    base_url: str
    context: int
    calls_tools: bool
    reasons: bool
    media: frozenset[str]


def main() -> None:
    import xllamacpp  # type: ignore[import-untyped]  # here, so that the worker can import the messages above

    report = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that nothing the library prints gets between the worker and the report
    options = msgspec.json.decode(sys.argv[1], type=LlamaOptions)
    key = sys.stdin.buffer.readline().decode().strip()  # not an argument: those are for all of the machine to see
    try:
        server = xllamacpp.Server(_configured(xllamacpp.CommonParams(), options, key))
    except RuntimeError:
        sys.exit(1)  # llama.cpp has told standard error why
    report.write(msgspec.json.encode(_started(server.listening_address, key)) + b"\n")
    report.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # the server's destructor would wait for every running request


def _configured(params: Any, options: LlamaOptions, key: str) -> Any:
    params.model.path = options.weights
    params.model_alias = {options.model_id}
    params.n_parallel = options.slots
    params.n_ctx = options.context
    params.kv_unified = True
    params.n_batch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.use_jinja = True
    params.prefill_assistant = False  # a closing assistant message is answered, not continued
    params.ui = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.cors_origins = ""  # no web page may ask it
    params.verbosity = options.verbosity
    return params


def _started(base_url: str, key: str) -> LlamaStarted:
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"))
    connection.request("GET", "/props", headers={"authorization": f"Bearer {key}"})
    props = msgspec.json.decode(connection.getresponse().read())
    connection.close()
    media = {"vision": "image_url", "audio": "input_audio"}
    return LlamaStarted(
        base_url,
        props["default_generation_settings"]["n_ctx"],
        props["chat_template_caps"]["supports_tools"],
        any(name in props.get("chat_template", "") for name in REASONING),
        frozenset(part for kind, part in media.items() if props["modalities"][kind]),
    )


if __name__ == "__main__":
    main()
