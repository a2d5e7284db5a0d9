"""The model catalogue, read from models.toml once at start."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from shared.core.budgets import Budget
from shared.core.errors import InvalidRequest, NotFound
from shared.core.limits import Limits
from shared.core.pricing import BadPrice, Price
from shared.core.routing import WORKER, Model, UpstreamTarget
from shared.money.prices import BudgetRow, PriceRow, PricesTable, budget, price

Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


NO_LIMITS: Mapping[str, Limits] = MappingProxyType({})
NO_BUDGETS: Mapping[str, Budget] = MappingProxyType({})


Kind = Literal["chat", "completion", "embedding", "rerank", "moderation", "image", "speech", "transcription"]
"""What a model can do."""


MOST_NAMED = 20
"""Models in a message."""


class UpstreamRow(msgspec.Struct, forbid_unknown_fields=True):
    url: str = ""
    worker: bool = False
    model: str = ""
    api_key_env: str = ""
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    priority: int = 0
    stream_usage: bool = True


class ModelRow(msgspec.Struct, forbid_unknown_fields=True):
    id: Name
    upstreams: Annotated[list[UpstreamRow], msgspec.Meta(min_length=1)]
    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1)] = ("chat", "completion")
    context: Annotated[int, msgspec.Meta(ge=0)] = 0
    owned_by: str = "omni"
    version: str = ""
    price: PriceRow | None = None
    max_output: Annotated[int, msgspec.Meta(ge=0)] = 0
    image_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    audio_tokens_per_second: Annotated[int, msgspec.Meta(ge=0)] = 0
    parameters: tuple[Name, ...] = ()


class LimitsRow(msgspec.Struct, forbid_unknown_fields=True):
    requests_per_minute: Amount = 0
    tokens_per_minute: Amount = 0
    concurrent_requests: Amount = 0
    requests_per_day: Amount = 0
    strict: bool = False


class TenantRow(LimitsRow, forbid_unknown_fields=True):
    budget: BudgetRow | None = None


class LimitsTable(msgspec.Struct, forbid_unknown_fields=True):
    tenants: dict[str, TenantRow] = {}
    models: dict[str, LimitsRow] = {}


class CatalogueFile(msgspec.Struct, forbid_unknown_fields=True):
    model: tuple[ModelRow, ...] = ()
    prices: PricesTable = msgspec.field(default_factory=PricesTable)
    limits: LimitsTable = msgspec.field(default_factory=LimitsTable)


class CatalogueError(ValueError):
    """The catalogue cannot be used; the message names the file and the field."""


class Catalogue:
    """The models there are, by id."""

    def __init__(
        self,
        models: tuple[Model, ...],
        changed_at: int = 0,
        tenant_limits: Mapping[str, Limits] = NO_LIMITS,
        model_limits: Mapping[str, Limits] = NO_LIMITS,
        tenant_budgets: Mapping[str, Budget] = NO_BUDGETS,
    ) -> None:
        self.models = models
        self.changed_at = changed_at
        """When the file was last changed, seconds since 1970: what OpenAI's `created` says of a model."""
        self.tenant_limits = tenant_limits
        self.model_limits = model_limits
        """Of all callers together."""
        self.tenant_budgets = tenant_budgets
        self._by_id = {model.id: model for model in models}

    def get(self, model_id: str) -> Model:
        """The model of that id; NotFound (code `model_not_found`, param `model`) when there is none."""
        if found := self._by_id.get(model_id):
            return found
        raise no_such_model(model_id)

    def of_kind(self, model_id: str, kind: str, allowed: frozenset[str] | None) -> Model:
        """The model of that id, which must be able to do that. NotFound; InvalidRequest names those that can, of the
        models `allowed` (None: all)."""
        model = self.get(model_id)
        if kind in model.kinds:
            return model
        able = [each.id for each in self.models if kind in each.kinds and (allowed is None or each.id in allowed)]
        others = f" These can: {', '.join(able[:MOST_NAMED])}." if able else ""
        raise InvalidRequest(
            f"The model '{model_id}' is not one for {kind}.{others}", param="model", code="unsupported_model"
        )

    def require_for_jobs(self, allowed: frozenset[str] | None, model_id: str, kind: str) -> Model:
        """The model. NotFound when a key that may use the models `allowed` (None: all) cannot see it; InvalidRequest
        when it is not of that kind, or no worker serves it."""
        if allowed is not None and model_id not in allowed:
            raise no_such_model(model_id)
        model = self.of_kind(model_id, kind, allowed)
        if model.worker is None:
            raise InvalidRequest(
                f"The model '{model_id}' is not served by the worker, which runs the jobs.",
                param="model",
                code="model_not_for_jobs",
            )
        return model

    def name_at_worker(self, model_id: str) -> str:
        """What the worker calls the model; one that is not in the catalogue has one name only."""
        model = self._by_id.get(model_id)
        return model.worker.model if model and model.worker else model_id

    @classmethod
    def load(cls, path: Path) -> "Catalogue":
        """The catalogue in a TOML file; CatalogueError says what is wrong with it."""
        try:
            file = msgspec.toml.decode(path.read_bytes(), type=CatalogueFile)
        except FileNotFoundError:
            raise CatalogueError(f"{path}: there is no such file; OMNI_MODELS_FILE names the catalogue") from None
        except OSError as error:
            raise CatalogueError(f"{path}: {error.strerror}; OMNI_MODELS_FILE names the catalogue") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CatalogueError(f"{path}: {error}") from None
        ids = [row.id for row in file.model]
        if twice := sorted({each for each in ids if ids.count(each) > 1}):
            raise CatalogueError(f"{path}: these ids stand more than once: {', '.join(twice)}")
        if unknown := sorted(set(file.limits.models) - set(ids)):
            raise CatalogueError(f"{path}: limits are set for models that are not there: {', '.join(unknown)}")
        fallback = _price(path, "prices.fallback", file.prices.fallback)
        models = tuple(_model(path, row, fallback) for row in file.model)
        unpriced = [model.id for model in models if model.price is None]
        if file.prices.required and unpriced:
            raise CatalogueError(f"{path}: these models have no price: {', '.join(unpriced)}")
        return cls(
            models,
            int(path.stat().st_mtime),
            _limits(file.limits.tenants),
            _limits(file.limits.models),
            _budgets(path, file.limits.tenants),
        )


def _limits(rows: Mapping[str, LimitsRow]) -> dict[str, Limits]:
    return {name: _limits_of(row) for name, row in rows.items()}


def _limits_of(row: LimitsRow) -> Limits:
    return Limits(**{field: getattr(row, field) for field in LimitsRow.__struct_fields__})


def _budgets(path: Path, rows: Mapping[str, TenantRow]) -> dict[str, Budget]:
    found = {}
    for name, row in rows.items():
        try:
            if row.budget:
                found[name] = budget(row.budget)
        except BadPrice as error:
            raise CatalogueError(f"{path}: the budget of the tenant '{name}': {error}") from None
    return found


def no_such_model(model_id: str) -> NotFound:
    """The same for a model that does not exist and for one that the key may not use: a key cannot probe for models."""
    return NotFound(
        f"The model '{model_id[:200]}' does not exist, or this key may not use it.",
        param="model",
        code="model_not_found",
    )


def _model(path: Path, row: ModelRow, fallback: Price | None) -> Model:
    return Model(
        row.id,
        tuple(_target(path, row.id, each) for each in row.upstreams),
        frozenset(row.kinds),
        row.context,
        row.owned_by,
        row.version,
        price=_price(path, f"the price of '{row.id}'", row.price) or fallback,
        max_output=row.max_output,
        image_tokens=row.image_tokens,
        audio_tokens_per_s=row.audio_tokens_per_second,
        parameters=frozenset(row.parameters),
    )


def _price(path: Path, whose: str, row: PriceRow | None) -> Price | None:
    try:
        return None if row is None else price(row)
    except BadPrice as error:
        raise CatalogueError(f"{path}: {whose}: {error}") from None


def _target(path: Path, model_id: str, row: UpstreamRow) -> UpstreamTarget:
    if row.worker == bool(row.url):
        raise CatalogueError(f"{path}: an upstream of '{model_id}' needs either `url` or `worker = true`")
    if row.url and not row.url.startswith(("http://", "https://")):
        raise CatalogueError(
            f"{path}: the upstream url '{row.url}' of '{model_id}' must begin with http:// or https://"
        )
    if row.url and not _is_plain(row.url):
        raise CatalogueError(
            f"{path}: an upstream url of '{model_id}' is no plain address (no password, no query); "
            "a key belongs into the secret that `api_key_env` names"
        )
    url = WORKER if row.worker else row.url.rstrip("/")
    return UpstreamTarget(url, row.model or model_id, row.api_key_env, row.weight, row.priority, row.stream_usage)


def _is_plain(url: str) -> bool:
    """Whether it is an address only: metrics and errors show it, and the route's path is appended."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        return False
