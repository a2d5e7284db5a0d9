"""The commands read nothing that the API's schemas do not promise."""

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from cli import answers
from shared.web.schemas.chat import ChatResponse
from shared.web.schemas.jobs import JobList, JobView
from shared.web.schemas.keys import KeyList, KeyView, NewKey
from shared.web.schemas.models import ModelCard
from shared.web.schemas.system import ErrorBody, Problem
from shared.web.schemas.webhooks import NewWebhookSecret, WebhookAttempt, WebhookDelivery


@pytest.mark.parametrize(
    ("read", "promised"),
    [
        (answers.Job, JobView),
        (answers.Key, KeyView),
        (answers.WebhookSecret, NewWebhookSecret),
        (answers.WebhookDelivery, WebhookDelivery),
        (answers.WebhookAttempt, WebhookAttempt),
        (answers.NewKey, NewKey),
        (answers.ModelCard, ModelCard),
        (answers.Completion, ChatResponse),
        (answers.ErrorBody, ErrorBody),
        (answers.Problem, Problem),
        (answers.Page[Any], JobList),
        (answers.Page[Any], KeyList),
    ],
)
def test_every_field_a_command_reads_is_promised(read: type[msgspec.Struct], promised: type[BaseModel]) -> None:
    fields = msgspec.structs.fields(read)
    assert {field.encode_name for field in fields} <= set(promised.model_fields)
    for field in fields:
        assert field.required <= promised.model_fields[field.encode_name].is_required(), field.name
