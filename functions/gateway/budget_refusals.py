"""What callers are told when a budget stands in their way."""

from datetime import UTC, datetime

from shared import telemetry
from shared.core.account import Account
from shared.core.errors import BudgetExceeded, PermissionDenied, Unavailable
from shared.core.pricing import dollars
from shared.core.routing import Model
from shared.telemetry import series


def refused(account: Account, wait_s: float, wall: float) -> BudgetExceeded:
    """`wall` in seconds since 1970."""
    owner = _owner(account)
    name, amount, resets_at = account.binding(wall)
    begins = datetime.fromtimestamp(resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    spent = account.standing.spent_today if name == "daily" else account.standing.spent_this_month
    headers = [
        ("x-omni-budget", f"{owner} {name}"),
        ("x-omni-budget-limit-usd", dollars(amount)),
        ("x-omni-budget-spent-usd", dollars(spent)),
        ("x-omni-budget-reset", begins),
    ]
    budget = f"The {name} budget of ${dollars(amount)} of this {owner}"
    if not account.is_spent:
        _count(owner, "reserved")
        message = f"{budget} is reserved by requests under way. Try again in a moment."
        return BudgetExceeded(message, retry_after_s=wait_s, headers=tuple(headers))
    _count(owner, "spent")
    headers.append(("x-should-retry", "false"))  # OpenAI's clients would try again at once
    message = f"{budget} is spent. It begins anew at {begins}."
    return BudgetExceeded(message, retry_after_s=resets_at - wall, headers=tuple(headers))


def closed(account: Account) -> Unavailable:
    owner = _owner(account)
    _count(owner, "unavailable")
    message = f"The budget of this {owner} cannot be checked at the moment."
    return Unavailable(message, code="budget_unavailable", retry_after_s=1)


def no_price(model: Model) -> PermissionDenied:
    _count("model", "no price")
    message = f"The model '{model.id}' has no price, so a caller with a budget may not ask it."
    return PermissionDenied(message, param="model", code="price_unknown")


def _owner(account: Account) -> str:
    return account.subject.partition(":")[0]


def _count(owner: str, reason: str) -> None:
    series(telemetry.BUDGET_REFUSALS, owner, reason).inc()
