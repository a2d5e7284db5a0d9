from dataclasses import dataclass
from enum import StrEnum

from shared.settings.knob import knob


class RevokedWork(StrEnum):
    """What becomes of the work of a key that is revoked."""

    CANCEL = "cancel"
    FINISH = "finish"


@dataclass(frozen=True)
class Jobs:
    """Jobs, and the Cloud Run job that works off batches."""

    lease_s: float = knob(
        60.0, "OMNI_LEASE_S", "How long a job stays a worker's without a heartbeat.", unit="s", least=0.5
    )
    job_timeout_s: float = knob(
        1500.0, "OMNI_JOB_TIMEOUT_S", "Longest run of one job, and the default of `timeout_s`.", unit="s", least=1
    )
    revoked_work: RevokedWork = knob(
        RevokedWork.CANCEL,
        "OMNI_REVOKED_WORK",
        "What becomes of jobs and batches whose key is revoked: `cancel`, since a key is revoked because it leaked or "
        "its owner has to stop; or `finish`.",
    )
    tenant_jobs: int = knob(
        0,
        "OMNI_TENANT_JOBS",
        "Jobs that a tenant may have in the queue or running, others of it wait: half of it for tier basic, a quarter "
        "for free. 0: 1.5 times the jobs that can run at the same time.",
        least=0,
    )
    quarantine_after: int = knob(
        5,
        "OMNI_QUARANTINE_AFTER",
        "Rounds of a schedule that fail on a document, one after the other, before it is set aside.",
        least=1,
    )
    task_index: int = knob(
        0, "CLOUD_RUN_TASK_INDEX", "Which of a Cloud Run job's tasks this is; Cloud Run sets it.", least=0
    )
    task_count: int = knob(1, "CLOUD_RUN_TASK_COUNT", "How many tasks the job has; Cloud Run sets it.", least=1)
    task_attempt: int = knob(
        0, "CLOUD_RUN_TASK_ATTEMPT", "How often this task was tried before; Cloud Run sets it.", least=0
    )
