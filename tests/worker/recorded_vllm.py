"""What vLLM 0.32 said when it was asked (recorded), and a server that says it: `python recorded_vllm.py … --port N`.

With `--sleep` among its arguments it never gets healthy, with `--fail` it ends at once.
"""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = {"object": "list", "data": [{"id": "big", "object": "model", "owned_by": "vllm", "max_model_len": 2048}]}
WHOLE = {"id": "cmpl-1", "choices": [{"index": 0, "text": "!", "finish_reason": "length"}]}

CHAT = b"".join(
    b"data: %b\n\n" % event
    for event in (
        b'{"id":"chatcmpl-97","object":"chat.completion.chunk","created":1795533340,"model":"smol","choice'
        b's":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],'
        b'"prompt_token_ids":null,"prompt_text":null}',
        b'{"id":"chatcmpl-97","object":"chat.completion.chunk","created":1795533340,"model":"smol","choice'
        b's":[{"index":0,"delta":{"content":"N"},"logprobs":null,"finish_reason":null,"token_ids":null}]}',
        b'{"id":"chatcmpl-97","object":"chat.completion.chunk","created":1795533340,"model":"smol","choice'
        b's":[{"index":0,"delta":{"content":"ice"},"logprobs":null,"finish_reason":"length","stop_reason":'
        b'null,"token_ids":null}]}',
        b'{"id":"chatcmpl-97","object":"chat.completion.chunk","created":1795533340,"model":"smol","choice'
        b's":[],"usage":{"prompt_tokens":31,"total_tokens":34,"completion_tokens":3,"prompt_tokens_details'
        b'":{"cached_tokens":0,"created_cache_tokens":0}},"system_fingerprint":"vllm-0.32.0-35b9ceb5"}',
        b"[DONE]",
    )
)
TEXT_WITH_LOGPROBS = b"".join(
    b"data: %b\n\n" % event
    for event in (
        b'{"id":"cmpl-88","object":"text_completion","created":1795533340,"model":"smol","choices":[{"inde'
        b'x":0,"text":" and","logprobs":{"text_offset":[0],"token_logprobs":[-3.75],"tokens":[" and"],"top'
        b'_logprobs":[{" and":-3.75," of":-1.25}]},"finish_reason":null,"stop_reason":null,"prompt_token_i'
        b'ds":null,"token_ids":null}]}',
        b'{"id":"cmpl-88","object":"text_completion","created":1795533340,"model":"smol","choices":[{"inde'
        b'x":0,"text":" land","logprobs":{"text_offset":[4],"token_logprobs":[-2.0],"tokens":[" land"],"to'
        b'p_logprobs":[{" land":-2.0," the":-1.0}]},"finish_reason":"length","stop_reason":null,"prompt_to'
        b'ken_ids":null,"token_ids":null}]}',
        b"[DONE]",
    )
)
TEXT_WITH_SCORES = b"".join(
    b"data: %b\n\n" % event
    for event in (
        b'{"id":"cmpl-89","object":"text_completion","created":1795533340,"model":"smol","choices":[{"inde'
        b'x":0,"text":"The sea","logprobs":{"text_offset":[0,3],"token_logprobs":[null,-7.5],"tokens":["Th'
        b'e"," sea"],"top_logprobs":[null,{" sea":-7.5," same":-1.0}]},"finish_reason":"length","stop_reas'
        b'on":null,"token_ids":null}]}',
        b"[DONE]",
    )
)
DIED = (
    b'data: {"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", '
    b'"type": "InternalServerError", "param": null, "code": 500}}\n\ndata: [DONE]\n\n'
)
TOO_LONG = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, "
    "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
    "(parameter=input_tokens, value=2049)"
)
BAD_TYPE = (
    "1 validation error:\n  {'type': 'float_parsing', 'loc': 'body.temperature', 'msg': 'Input should be a valid "
    "number, unable to parse string as a number', 'input': 'x'}"
)


def problem(code: int, message: str, kind: str, param: str | None = None) -> tuple[int, object]:
    return code, {"error": {"message": message, "type": kind, "param": param, "code": code}}


FAILURES: dict[str, tuple[int, object]] = {
    "too long": problem(400, TOO_LONG, "BadRequestError", "input_tokens"),
    "bad value": problem(
        400,
        "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)",
        "BadRequestError",
        "temperature",
    ),
    "bad type": problem(400, BAD_TYPE, "Bad Request", "body.temperature"),
    "bad schema": problem(400, "Grammar error: Invalid type: nonsense", "BadRequestError"),
    "other model": problem(404, "The model `other` does not exist. Valid aliases: smol.", "NotFoundError", "model"),
    "no route": (404, {"detail": "Not Found"}),
    "bad key": (401, {"error": "Unauthorized"}),
    "engine died": problem(
        500,
        "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "InternalServerError",
    ),
    "draining": problem(500, "cannot schedule new futures after shutdown", "InternalServerError"),
}


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(503 if "--sleep" in sys.argv else 200, MODELS if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(200, WHOLE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the library)
        """Nothing."""

    def _answer(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    if "--fail" in sys.argv:
        sys.exit("RuntimeError: Failed to infer device type")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # as vLLM has its EngineCore
    at = sys.argv.index("--port")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[at + 1])), Server).serve_forever()
