"""The most that a request can cost: what is reserved of a budget before it is sent on."""

from shared.core import tokens
from shared.core.pricing import Price, Use, cost, dearest_input
from shared.core.routing import Model
from shared.surfaces import request
from shared.surfaces.input_size import InputSize, measure
from shared.surfaces.request import InferenceRequest


def worst_cost(
    price: Price, model: Model, asked: InferenceRequest, size: InputSize, default_output: int, most_s: int
) -> int:
    """Nano-dollars."""
    made = most_output(model, asked, default_output)
    return cost(dearest_input(price), Use(size.most(model.context), made, 0, most_s))


def worst_cost_of(price: Price, model: Model, body: bytes, default_output: int, most_s: int) -> int:
    """Nano-dollars, of a job's input or a batch's line. InvalidRequest names the field that is wrong."""
    asked = request.read(body)
    return worst_cost(price, model, asked, measure(asked, len(body), model), default_output, most_s)


def most_output(model: Model, asked: InferenceRequest, default_output: int) -> int:
    """Tokens. `default_output` is what the platform's own worker makes at most for a request that names no number."""
    most = asked.most_each or (default_output if model.is_own else None)
    rejected = len(memoryview(asked.prediction)) * asked.answers  # of a predicted answer, billed beside the real one
    return tokens.most_output(most, asked.answers, model.max_output or model.context) + rejected
