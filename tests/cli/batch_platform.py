"""The part of the tests' platform that keeps files and answers batches, each time a batch is looked at."""

import json
import re
from collections.abc import Iterator
from typing import Any

FILE = re.compile(rb'name="(?:file|data)"; filename="([^"]*)".*?\r\n\r\n(.*)\r\n--[0-9a-f]+--\r\n$', re.DOTALL)


class BatchPlatform:
    def __init__(self) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self.content: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, list[bytes]] = {}
        self.fails: set[str] = set()
        """The custom ids of lines that are refused."""
        self.mistakes: list[dict[str, Any]] = []
        """What is wrong with every file that comes."""

    def answer(self, method: str, path: list[str], body: Any, completion: dict[str, Any]) -> tuple[int, Any]:
        match method, path:
            case "POST", ["files"]:
                return 200, self._keep(*_uploaded(body))
            case "POST", ["uploads", *rest]:
                return 200, self._upload(rest, body)
            case "GET", ["files" | "batches" as kind]:
                rows = list((self.files if kind == "files" else self.batches).values())
                return 200, {"object": "list", "data": rows, "has_more": True, "last_id": rows[-1]["id"]}
            case "GET", ["files", file_id, "content"] if file_id in self.content:
                return 200, _in_parts(self.content[file_id])
            case "DELETE", ["files", file_id] if file_id in self.files:
                return 200, {"id": file_id, "deleted": True}
            case "POST", ["batches"]:
                batch = _batch(f"batch{len(self.batches)}", body["input_file_id"])
                self.batches[batch["id"]] = batch
                return 200, batch
            case "POST", ["batches", batch_id, "cancel"] if batch_id in self.batches:
                self.batches[batch_id]["status"] = "cancelling"
                return 200, self.batches[batch_id]
            case "GET", ["batches", batch_id] if batch_id in self.batches:
                shown = dict(self.batches[batch_id])
                self._go_on(self.batches[batch_id], completion)
                return 200, shown
        return 404, None

    def _upload(self, path: list[str], body: Any) -> dict[str, Any]:
        if not path:
            upload_id = f"upload{len(self.uploads)}"
            self.uploads[upload_id] = []
            return {"id": upload_id, "status": "pending"}
        parts = self.uploads[path[0]]
        if path[1] == "parts":
            parts.append(_uploaded(body)[1])
            return {"id": f"part{len(parts) - 1}"}
        whole = b"".join(parts[int(each.removeprefix("part"))] for each in body["part_ids"])
        return {"id": path[0], "file": self._keep("large.jsonl", whole)}

    def _keep(self, name: str, content: bytes) -> dict[str, Any]:
        file_id = f"file-{len(self.files)}"
        self.content[file_id] = content
        self.files[file_id] = file = {
            "id": file_id, "bytes": len(content), "filename": name, "purpose": "batch", "expires_at": 1700000000
        }  # fmt: skip
        return file

    def _go_on(self, batch: dict[str, Any], completion: dict[str, Any]) -> None:
        lines = [json.loads(line) for line in self.content[batch["input_file_id"]].splitlines() if line.strip()]
        if batch["status"] == "validating" and self.mistakes:
            batch |= {"status": "failed", "errors": {"data": self.mistakes}}
        elif batch["status"] == "validating":
            batch |= {"status": "in_progress", "request_counts": {"total": len(lines), "completed": 0, "failed": 0}}
        elif batch["status"] == "in_progress":
            good = [each["custom_id"] for each in lines if each["custom_id"] not in self.fails]
            bad = [each["custom_id"] for each in lines if each["custom_id"] in self.fails]
            batch |= {
                "status": "completed",
                "request_counts": {"total": len(lines), "completed": len(good), "failed": len(bad)},
                "output_file_id": self._results(good, 200, completion) if good else None,
                "error_file_id": self._results(bad, 400, {"error": {"message": "No."}}) if bad else None,
            }

    def _results(self, custom_ids: list[str], status: int, body: dict[str, Any]) -> str:
        lines = (
            json.dumps({"custom_id": each, "response": {"status_code": status, "body": body}}) for each in custom_ids
        )
        file_id: str = self._keep("results.jsonl", "\n".join(lines).encode() + b"\n")["id"]
        return file_id


def _uploaded(body: bytes) -> tuple[str, bytes]:
    """The name and the content of a form's file."""
    found = FILE.search(body)
    assert found, body[:200]
    return found[1].decode(), found[2]


def _in_parts(content: bytes) -> Iterator[bytes]:
    yield content


def _batch(batch_id: str, file_id: str) -> dict[str, Any]:
    return {
        "id": batch_id,
        "object": "batch",
        "status": "validating",
        "input_file_id": file_id,
        "created_at": 1700000000,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "errors": None,
        "output_file_id": None,
        "error_file_id": None,
    }
