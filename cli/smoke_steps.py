"""What `omni smoke` tries beside the demo's steps. A step the platform does not offer says so, and is no failure."""

from typing import Any

import msgspec

from cli.answers import ModelCard, Page
from cli.demo_steps import Stage
from cli.errors import CliError
from cli.models import PATH as MODELS


class Health(msgspec.Struct):
    status: str


def health(stage: Stage) -> str:
    stage.narrator.asked("GET /api/health")
    answer = stage.client.get("/api/health")
    if (told := answer.as_type(Health).status) != "ok":
        raise CliError(f"The platform says it is '{told}'.")
    return f"ok in {answer.elapsed_s * 1000:.0f} ms"


def embedding(stage: Stage) -> str:
    models = stage.client.get(MODELS).as_type(Page[ModelCard]).data
    if not (able := [model.id for model in models if "embedding" in model.kinds]):
        return "not offered: the catalogue has no model for it"
    stage.narrator.asked(f"POST /v1/embeddings  {able[0]}")
    answer = stage.client.post("/v1/embeddings", {"model": able[0], "input": "a lighthouse"})
    vector: list[Any] = msgspec.json.decode(answer.body)["data"][0]["embedding"]
    if not vector:
        raise CliError("The embedding is empty.")
    return f"{len(vector)} dimensions in {answer.elapsed_s:.2f} s"
