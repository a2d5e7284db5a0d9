"""How many tokens a request may take, before it runs, and took, when nobody counted them."""

BYTES_PER_TOKEN = 4
"""Of JSON around text in a European language; other input is estimated too high or too low, and settled in the end."""
LONGEST_OUTPUT = 1_000_000
MOST_CHOICES = 128
"""An upstream refuses more; what a caller writes must not become a number that does not fit anywhere."""


def estimated_input(body_bytes: int, context: int) -> int:
    """Tokens of a request's body; no more than the model's context (0: not known)."""
    tokens = body_bytes // BYTES_PER_TOKEN
    return min(tokens, context) if context else tokens


def estimated_output(most: float | None, choices: float | None, default: int, context: int) -> int:
    """Tokens of the answers to a request that allows `most` in each; no more than the context would hold."""
    each = int(min(max(0, default if most is None else most), context or LONGEST_OUTPUT))
    return each * int(min(max(1, choices or 1), MOST_CHOICES))


def unreported_output(answer_bytes: int, events: int) -> int:
    """Tokens of an answer whose server told no count: as a rule a stream has one event a token."""
    return events or answer_bytes // BYTES_PER_TOKEN
