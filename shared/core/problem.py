"""An error as it leaves the process: OpenAI's error object, plus the request id."""

import json
import math

from shared.core.errors import OmniError


def body(error: OmniError, request_id: str) -> bytes:
    """The JSON body for `error`, in UTF-8."""
    return json.dumps(
        {
            "error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code},
            "request_id": request_id,
        }
    ).encode()


def headers(error: OmniError) -> list[tuple[str, str]]:
    """The headers `error` brings along, `Retry-After` (whole seconds, at least 1) among them."""
    found = [("content-type", "application/json"), *error.headers]
    if error.retry_after_s is not None:
        found.append(("retry-after", str(max(1, math.ceil(error.retry_after_s)))))
    return found
