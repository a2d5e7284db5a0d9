"""Secret Manager on a local port: a real gRPC server with the service's own messages, its state in memory."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.cloud.secretmanager_v1 import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    SecretManagerServiceClient,
    SecretPayload,
)
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport
from grpc import StatusCode

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
PROJECT = "test-project"
DISABLED = None


class SecretManager:
    """Every secret with its versions, oldest first; a version is its bytes, or DISABLED."""

    def __init__(self) -> None:
        self.versions: dict[str, list[bytes | None]] = {}
        self.asked: list[str] = []
        self.refusal: StatusCode | None = None
        """What every call is refused with."""
        self.port = 0

    def set(self, values: Mapping[str, str]) -> None:
        """A new version for each."""
        for name, value in values.items():
            self.versions.setdefault(name, []).append(value.encode())

    def connect(self) -> SecretManagerServiceClient:
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        return SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))

    def access(self, request: AccessSecretVersionRequest, context: Any) -> AccessSecretVersionResponse:
        self.asked.append(request.name)
        if self.refusal:
            context.abort(self.refusal, "refused")
        _, project, _, name, _, version = request.name.split("/")
        versions = self.versions.get(name, []) if project == PROJECT else []
        number = len(versions) if version == "latest" else int(version)
        if not 1 <= number <= len(versions):
            context.abort(StatusCode.NOT_FOUND, f"Secret Version [{request.name}] not found.")
        data = versions[number - 1]
        if data is DISABLED:
            context.abort(StatusCode.FAILED_PRECONDITION, f"Secret Version [{request.name}] is in DISABLED state.")
        return AccessSecretVersionResponse(name=request.name, payload=SecretPayload(data=data))


@contextmanager
def running() -> Iterator[SecretManager]:
    manager = SecretManager()
    handler = grpc.unary_unary_rpc_method_handler(
        manager.access,
        request_deserializer=AccessSecretVersionRequest.deserialize,
        response_serializer=AccessSecretVersionResponse.serialize,
    )
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"AccessSecretVersion": handler}),))
    manager.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield manager
    finally:
        server.stop(None).wait()
