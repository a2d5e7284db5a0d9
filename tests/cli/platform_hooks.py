"""The webhooks of the platform of one file: it signs and sends at once, in a thread of its own."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.webhooks.secrets import signed

REQUEST_ID = "req_test"


@dataclass
class Said:
    status: int
    body: Any
    """JSON, or an iterator of bytes that is streamed."""
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Said:
    error = {"message": message, "type": "test", "param": None, "code": code}
    return Said(status, {"error": error, "request_id": REQUEST_ID}, headers or {})


class Hooks:
    """Keeps secrets and deliveries in memory."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.deliveries: list[dict[str, Any]] = []
        self.signs_with = ""
        """Instead of the secrets there are."""

    def answer(self, method: str, rest: list[str], body: Any) -> Said:
        match method, rest:
            case "POST", ["secrets"]:
                return Said(201, self._new_secret())
            case "GET", ["secrets"]:
                return Said(200, {"object": "list", "data": [self._shown(each) for each in self.secrets.values()]})
            case "DELETE", ["secrets", secret_id] if secret_id in self.secrets:
                del self.secrets[secret_id]
                return Said(200, {"id": secret_id, "object": "webhook.secret", "deleted": True})
            case "GET", ["deliveries"]:
                return Said(200, {"object": "list", "data": self.deliveries, "has_more": False, "next_cursor": None})
            case "POST", ["deliveries", delivery_id, "redeliver"]:
                return Said(202, next(each for each in self.deliveries if each["id"] == delivery_id))
        return problem(404, "There is no such thing.", "not_found")

    def tell(self, url: str, job: dict[str, Any]) -> None:
        payload = json.dumps({"type": "job.succeeded", "timestamp": "2027-01-15T08:00:00Z", "data": job})
        texts = [self.signs_with] if self.signs_with else [each["secret"] for each in self.secrets.values()]
        headers = signed(texts, f"msg_{job['id']}", payload, time.time())
        threading.Thread(target=self._post, args=(url, payload, headers, job["id"]), daemon=True).start()

    def _post(self, url: str, payload: str, headers: dict[str, str], job_id: str) -> None:
        status = httpx.post(url, content=payload, headers=headers, trust_env=False).status_code
        attempt = {"at": time.time(), "status": status, "reason": "", "took_s": 0.1}
        self.deliveries.append(
            {
                "id": f"msg_{job_id}",
                "object": "webhook.delivery",
                "job_id": job_id,
                "event": "job.succeeded",
                "url": url,
                "state": "delivered" if status < 300 else "pending",
                "created_at": attempt["at"],
                "next_attempt_at": None,
                "attempts": [attempt],
            }
        )

    def _new_secret(self) -> dict[str, Any]:
        number = len(self.secrets)
        text = "whsec_" + "c2VjcmV0" * 5
        made = {"id": f"whs_{number}", "object": "webhook.secret", "created_at": 1.7e9, "expires_at": None}
        self.secrets[f"whs_{number}"] = made | {"secret": text}
        return self.secrets[f"whs_{number}"]

    @staticmethod
    def _shown(secret: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in secret.items() if name != "secret"}
