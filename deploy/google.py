"""Google Cloud as `gcloud` tells it."""

import json
import shutil
import subprocess
from typing import Any


class CloudError(Exception):
    """Something cannot be done; the message is one sentence for the person at the terminal."""


class Refused(CloudError):
    """gcloud refused; the message is what it said last."""


class Gcloud:
    def __init__(self, project: str) -> None:
        self.project = project

    def ask(self, *words: str) -> Any:
        """What gcloud answers, as JSON; Refused when it does not."""
        return json.loads(self.run(*words, "--format=json") or "null")

    def run(self, *words: str) -> str:
        """What gcloud prints; Refused when it fails."""
        program = shutil.which("gcloud")
        if not program:
            raise CloudError("gcloud is not installed: https://cloud.google.com/sdk/docs/install")
        done = subprocess.run(  # noqa: S603  # its words are ours and the options', never a shell's
            [program, *words, f"--project={self.project}", "--quiet"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"gcloud ended with status {done.returncode}"]
            raise Refused(lines[-1] if len(lines) == 1 else " ".join(line.strip() for line in lines))
        return done.stdout
