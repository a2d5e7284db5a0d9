"""What happens to a request, in order."""

import random

from functions.gateway.admit import Admit
from functions.gateway.answer_errors import AnswerErrors
from functions.gateway.attempt import Attempt
from functions.gateway.authenticate import Authenticate
from functions.gateway.bound_bodies import BoundBodies
from functions.gateway.cache import Cache
from functions.gateway.cross_origin import CrossOrigin
from functions.gateway.forward import Forward
from functions.gateway.functions import Functions
from functions.gateway.identify import Identify
from functions.gateway.infer import Infer
from functions.gateway.job_events import JobEvents
from functions.gateway.job_watch import JobWatch
from functions.gateway.kept_answers import KeptAnswers
from functions.gateway.leasing import Leasing
from functions.gateway.limit_refusals import LimitRefusals
from functions.gateway.log_requests import LogRequests
from functions.gateway.measure import Measure
from functions.gateway.permit_model import PermitModel
from functions.gateway.prefer import Prefer
from functions.gateway.receive_body import ReceiveBody
from functions.gateway.replay import Replay
from functions.gateway.request_pass import Stages
from functions.gateway.shared_calls import RouteCalls
from functions.gateway.signer import CallerSigner
from functions.gateway.spending import Spending
from functions.gateway.trace import Trace
from functions.gateway.track_usage import TrackUsage
from shared import manifest, reporting, telemetry
from shared.catalogue import Catalogue
from shared.idempotency import IdempotencyKeys
from shared.jobs.reading import JobReader
from shared.keys.authentication import Authenticator
from shared.keys.caller_keys import CallerSigningKey
from shared.limits.admission import Admission
from shared.limits.guesses import Guesses
from shared.limits.policy import LimitPolicy
from shared.manifest import Router
from shared.money.ledgers import Ledgers
from shared.money.policy import BudgetPolicy
from shared.money.usage import UsageRecords
from shared.settings import Settings
from shared.web.system import SystemPages
from shared.wiring import Ports


def build(settings: Settings, ports: Ports, pages: SystemPages) -> Stages:
    """The pipeline, composed from the ports. Settings that cannot work raise SettingsError or CatalogueError."""
    telemetry.SECRETS_FAILING.set_function(lambda: ports.secrets.is_failing)
    authenticator = Authenticator.from_settings(settings, ports.secrets, ports.store, ports.clock)
    guesses = Guesses(settings.invalid_keys_per_minute, ports.clock)
    signer = CallerSigner(CallerSigningKey(ports.secrets), ports.clock, ports.identity)
    catalogue = Catalogue.load(settings.models_file)
    router = Router(manifest.behind_the_gateway(settings))
    attempt = Attempt(settings, ports.upstream, ports.secrets, signer, ports.clock)
    admission = Admission(ports.limiter, ports.clock, LimitPolicy.of(settings, catalogue))
    leasing = Leasing(admission, ports.limiter, ports.clock)
    authenticate = Authenticate(authenticator, guesses, settings.trusted_proxies)
    admit = Admit(admission, leasing, ports.clock, settings.max_output_tokens)
    spending = Spending(Ledgers(ports.store), BudgetPolicy.of(settings, catalogue), ports.clock)
    infer = Infer(settings, catalogue, admit, spending, attempt, ports.clock, random.random)
    calls = RouteCalls(settings)
    watch = JobWatch(JobReader(ports.store, ports.blobs, ports.clock), ports.clock)
    tracer = reporting.tracer(settings, "gateway")
    return Stages(
        [
            *([Trace(tracer)] if tracer else []),
            Measure(ports.clock),
            LogRequests(ports.clock, settings.slow_request_s, settings.project),
            TrackUsage(UsageRecords(ports.store, settings.usage_days), ports.clock),
            AnswerErrors(),
            CrossOrigin(settings.cors_origins),
            LimitRefusals(authenticate, admit),
            Identify(router, settings.max_header_bytes),
            authenticate,
            admit,
            BoundBodies(settings),
            ReceiveBody(settings),
            PermitModel(),
            Replay(settings, IdempotencyKeys(ports.store, ports.blobs)),
            Cache(catalogue, KeptAnswers(ports.cache, ports.clock, settings.cache_ttl_s)),
            Prefer(Functions(settings, ports.upstream, signer, calls), watch),
            Forward(settings, ports.upstream, signer, calls, infer, JobEvents(watch, settings.keep_alive_s), pages),
        ]
    )
