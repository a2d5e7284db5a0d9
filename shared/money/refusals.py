"""What callers are told when a budget stands in their way."""

from datetime import UTC, datetime

from shared import telemetry
from shared.core.budgets import Budget, Standing, binding, is_spent
from shared.core.errors import BudgetExceeded, PermissionDenied, Unavailable
from shared.core.pricing import dollars
from shared.core.routing import Model


def refused(subject: str, budget: Budget, told: Standing, wait_s: float, now: float) -> BudgetExceeded:
    """`now` in seconds since 1970, `wait_s` until reserved money may be free again."""
    owner = _owner(subject)
    name, amount, spent, resets_at = binding(budget, told, now)
    begins = datetime.fromtimestamp(resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = [
        ("x-omni-budget", f"{owner} {name}"),
        ("x-omni-budget-limit-usd", dollars(amount)),
        ("x-omni-budget-spent-usd", dollars(spent)),
        ("x-omni-budget-reset", begins),
    ]
    words = f"The {name} budget of ${dollars(amount)} of this {owner}"
    if not is_spent(budget, told):
        _count(owner, "reserved")
        message = f"{words} is reserved by requests under way. Try again in a moment."
        return BudgetExceeded(message, retry_after_s=wait_s, headers=tuple(headers))
    _count(owner, "spent")
    headers.append(("x-should-retry", "false"))  # OpenAI's clients would try again at once
    message = f"{words} is spent. It begins anew at {begins}."
    return BudgetExceeded(message, retry_after_s=resets_at - now, headers=tuple(headers))


def closed(subject: str) -> Unavailable:
    owner = _owner(subject)
    _count(owner, "unavailable")
    message = f"The budget of this {owner} cannot be checked at the moment."
    return Unavailable(message, code="budget_unavailable", retry_after_s=1)


def no_price(model: Model) -> PermissionDenied:
    _count("model", "no price")
    message = f"The model '{model.id}' has no price, so a caller with a budget may not ask it."
    return PermissionDenied(message, param="model", code="price_unknown")


def _owner(subject: str) -> str:
    return subject.partition(":")[0]


def _count(owner: str, reason: str) -> None:
    telemetry.BUDGET_REFUSALS.labels(owner, reason).inc()
