from dataclasses import dataclass
from enum import StrEnum

from shared.settings.knob import knob


class SecretSource(StrEnum):
    """Where secrets are read from."""

    ENVIRONMENT = "environment"
    GOOGLE = "secretmanager"


class StateKeeper(StrEnum):
    """What holds the documents."""

    SQLITE = "sqlite"
    FIRESTORE = "firestore"


class QueueKind(StrEnum):
    """What delivers tasks."""

    SQLITE = "sqlite"
    CLOUD_TASKS = "cloudtasks"


class IdentitySource(StrEnum):
    """Where the gateway's proof of identity comes from."""

    NONE = "none"
    METADATA = "metadata"


class TokenCheck(StrEnum):
    """Who checks the signatures of ID tokens."""

    SIGNATURE = "signature"
    PLATFORM = "platform"


@dataclass(frozen=True)
class Services:
    """What keeps documents, delivers tasks and proves who calls."""

    state: StateKeeper = knob(
        StateKeeper.SQLITE,
        "OMNI_STATE",
        "What holds the documents: `sqlite`, or `firestore` (extra `gcp`, needs OMNI_PROJECT or an emulator).",
    )
    project: str = knob("", "OMNI_PROJECT", "The Google Cloud project whose services are used.")
    location: str = knob("europe-west1", "OMNI_LOCATION", "The region of that project's services, such as its queues.")
    firestore_database: str = knob("(default)", "OMNI_FIRESTORE_DATABASE", "The Firestore database.")
    firestore_emulator: str = knob(
        "", "FIRESTORE_EMULATOR_HOST", "Host and port of a Firestore emulator to use in place of the service."
    )
    bucket: str = knob(
        "", "OMNI_BUCKET", "The Cloud Storage bucket of large bodies (extra `gcp`); empty: files in OMNI_STATE_DIR."
    )
    tenant_storage_bytes: int = knob(
        10 * 1024**3,
        "OMNI_TENANT_STORAGE_BYTES",
        "What a tenant's files, unfinished uploads and batch outputs may take together; 0: any number.",
        unit="bytes",
        least=0,
    )
    storage_emulator: str = knob(
        "", "STORAGE_EMULATOR_HOST", "URL of a Cloud Storage emulator to use in place of the service."
    )
    queue: QueueKind = knob(
        QueueKind.SQLITE,
        "OMNI_QUEUE",
        "What delivers tasks: `sqlite` for one machine, or `cloudtasks` (extra `gcp`, needs OMNI_PROJECT and "
        "OMNI_TASKS_ACCOUNT).",
    )
    queue_prefix: str = knob("omni-", "OMNI_QUEUE_PREFIX", "What the names of the queues in Cloud Tasks begin with.")
    cloud_tasks_endpoint: str = knob(
        "", "OMNI_CLOUD_TASKS_ENDPOINT", "An emulator of Cloud Tasks, as `host:port`; empty: the service itself."
    )
    tasks_account: str = knob(
        "", "OMNI_TASKS_ACCOUNT", "The service account in whose name Cloud Tasks delivers: its ID token comes along."
    )
    system_accounts: str = knob(
        "",
        "OMNI_SYSTEM_ACCOUNTS",
        "Service accounts, separated by commas, that run this service's tasks and schedules: their ID tokens are asked "
        "for everywhere but in a local stack.",
    )
    token_check: TokenCheck = knob(
        TokenCheck.SIGNATURE,
        "OMNI_TOKEN_CHECK",
        "`signature`, or `platform` where only callers with a token that Cloud Run has checked get through to this "
        "service: it takes the signature off. Never `platform` for a service that everyone may call.",
    )
    certificates_url: str = knob(
        "https://www.googleapis.com/oauth2/v1/certs",
        "OMNI_CERTIFICATES_URL",
        "The certificates of who signs ID tokens.",
    )
    secrets: SecretSource = knob(
        SecretSource.ENVIRONMENT,
        "OMNI_SECRETS",
        "Where secrets are read from: `environment`, or `secretmanager` (extra `gcp`, needs OMNI_PROJECT).",
    )
    secrets_ttl_s: float = knob(
        300.0,
        "OMNI_SECRETS_TTL_S",
        "How old a secret from Secret Manager may be: a new version is used within this time.",
        unit="s",
        least=1,
    )
    identity: IdentitySource = knob(
        IdentitySource.NONE,
        "OMNI_IDENTITY",
        "How the gateway proves to functions and worker that it calls: `none`, or `metadata` for an ID token from "
        "Google's metadata server.",
    )
    metadata_host: str = knob(
        "metadata.google.internal", "GCE_METADATA_HOST", "The metadata server; Google's libraries read this too."
    )
