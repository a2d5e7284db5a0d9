"""How many tokens the answers to a request may take, before it runs."""

BYTES_PER_TOKEN = 4
"""Of JSON around text in a European language; other input is estimated too high or too low, and settled in the end."""
LONGEST_OUTPUT = 1_000_000
MOST_CHOICES = 128
"""Answers to a prompt, as OpenAI has it."""
MOST_ANSWERS = 2048 * MOST_CHOICES
"""To as many prompts as OpenAI takes in one request."""


def estimated_output(most: float | None, answers: float, default: int, context: int) -> int:
    """Tokens of the answers to a request that allows `most` in each; no more than the context would hold."""
    each = int(min(max(0, default if most is None else most), context or LONGEST_OUTPUT))
    return each * int(min(max(1, answers), MOST_ANSWERS))


def most_output(most: float | None, answers: float, longest: int) -> int:
    """Tokens that the answers to a request cannot have more of, if it allows `most` in each. `longest` (0: not known)
    is what the model's server allows in each."""
    longest = longest or LONGEST_OUTPUT
    return int(longest if most is None else min(max(0, most), longest)) * int(min(max(1, answers), MOST_ANSWERS))
