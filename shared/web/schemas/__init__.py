"""The Pydantic models of requests and answers, one file a tag.

`MODELS` holds those that the manifest may name, by class name. It is put together when it is first read, so that a
function which imports one file of models does not pay for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    MODELS: dict[str, type[BaseModel]]


def __getattr__(name: str) -> dict[str, type[BaseModel]]:
    if name != "MODELS":
        raise AttributeError(name)
    globals()[name] = models = {model.__name__: model for model in _named_by_the_manifest()}
    return models


def _named_by_the_manifest() -> tuple[type[BaseModel], ...]:
    from shared.web.schemas.batches import BatchList, BatchRequest, BatchView
    from shared.web.schemas.chat import ChatRequest, ChatResponse, CompletionRequest, CompletionResponse
    from shared.web.schemas.files import (
        DeletedFile,
        FileForm,
        FileList,
        FileView,
        PartForm,
        PartView,
        UploadCompletion,
        UploadRequest,
        UploadView,
    )
    from shared.web.schemas.jobs import JobList, JobRequest, JobView
    from shared.web.schemas.keys import KeyChange, KeyList, KeyRequest, KeyRotation, KeyView, NewKey
    from shared.web.schemas.models import ModelCard, ModelList
    from shared.web.schemas.quarantine import QuarantinedDocument, QuarantineList
    from shared.web.schemas.schedules import ScheduleReport
    from shared.web.schemas.system import ErrorBody, Health, Readiness
    from shared.web.schemas.usage import UsageReport
    from shared.web.schemas.webhooks import (
        DeletedWebhookSecret,
        DeliveryWakeUp,
        NewWebhookSecret,
        Nothing,
        WebhookDelivery,
        WebhookDeliveryList,
        WebhookSecretList,
        WebhookSecretRequest,
    )

    return (
        *(ChatRequest, ChatResponse, CompletionRequest, CompletionResponse),
        *(BatchRequest, BatchView, BatchList),
        *(FileForm, FileView, FileList, DeletedFile),
        *(UploadRequest, UploadView, UploadCompletion, PartForm, PartView),
        *(JobRequest, JobView, JobList),
        *(KeyRequest, KeyChange, KeyRotation, KeyView, NewKey, KeyList),
        *(ModelCard, ModelList),
        *(QuarantinedDocument, QuarantineList),
        UsageReport,
        *(WebhookSecretRequest, NewWebhookSecret, WebhookSecretList, DeletedWebhookSecret),
        *(WebhookDelivery, WebhookDeliveryList, DeliveryWakeUp, Nothing),
        *(ScheduleReport, Health, Readiness, ErrorBody),
    )
