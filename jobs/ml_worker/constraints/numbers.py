"""Numbers within bounds, as patterns of their digits."""

from jobs.ml_worker.constraints import characters
from jobs.ml_worker.constraints.patterns import Choice, One, Pattern, Repeat, Sequence, literal

DIGIT = One(characters.DIGIT)
MOST_DIGITS = 16
FURTHEST = 10**MOST_DIGITS - 1
"""Integers of more digits are not made: programs that read them as floats would read others."""
FRACTION = Sequence((literal("."), Repeat(DIGIT, 1, MOST_DIGITS)))
ABOVE_ZERO = Sequence((literal("."), Repeat(DIGIT, 0, MOST_DIGITS - 1), One(characters.of("19"))))


def integers(least: int, most: int) -> Pattern | None:
    """Those from `least` to `most`, with no zeros in front; None when there are none."""
    least, most = max(least, -FURTHEST), min(most, FURTHEST)
    options: list[Pattern] = []
    if least < 0 and least <= most:
        options.append(Sequence((literal("-"), _digits(max(1, -most), -least))))
    if most >= 0 and least <= most:
        options.append(_digits(max(0, least), most))
    return Choice(tuple(options)) if options else None


def decimals(least: int, most: int, *, above: bool, below: bool) -> Pattern | None:
    """Numbers from `least` to `most`, two integers; without the first with `above`, without the last with `below`."""
    least, most = max(least, -FURTHEST), min(most, FURTHEST)
    options: list[Pattern] = []
    if least < 0:
        options += [
            Sequence((literal("-"), each)) for each in _magnitudes(max(0, -most), -least, below, above, sign=True)
        ]
    if most >= 0:
        options += _magnitudes(max(0, least), most, above and least >= 0, below, sign=False)
    return Choice(tuple(options)) if options else None


def _magnitudes(least: int, most: int, above: bool, below: bool, *, sign: bool) -> list[Pattern]:  # noqa: FBT001
    options: list[Pattern] = []
    if least < most:
        lowest = ABOVE_ZERO if above or (sign and least == 0) else Repeat(FRACTION, 0, 1)
        options.append(Sequence((literal(str(least)), lowest)))
        last = most - (most < FURTHEST)
        if least < last:
            options.append(Sequence((_digits(least + 1, last), Repeat(FRACTION, 0, 1))))
    if (least < most or not above) and not below and not (sign and most == 0):
        options.append(literal(str(most)))
    return options


def _digits(least: int, most: int) -> Pattern:
    """0 ≤ `least` ≤ `most`."""
    if (least, most) == (1, FURTHEST):
        return Sequence((One(characters.of("19")), Repeat(DIGIT, 0, MOST_DIGITS - 1)))
    options: list[Pattern] = []
    for length in range(len(str(least)), len(str(most)) + 1):
        low = max(least, 10 ** (length - 1) if length > 1 else 0)
        options.append(_between(str(low), str(min(most, 10**length - 1))))
    return Choice(tuple(options))


def _between(low: str, high: str) -> Pattern:
    """Numbers of the same count of digits."""
    if not low.strip("0") and not high.strip("9"):
        return Repeat(DIGIT, len(low), len(low))
    if low[0] == high[0]:
        return Sequence((literal(low[0]), _between(low[1:], high[1:])))
    left = len(low) - 1
    options: list[Pattern] = [Sequence((literal(low[0]), _between(low[1:], "9" * left)))]
    if int(high[0]) - int(low[0]) > 1:
        middle = One(characters.of(f"{int(low[0]) + 1}{int(high[0]) - 1}"))
        options.append(Sequence((middle, Repeat(DIGIT, left, left))))
    options.append(Sequence((literal(high[0]), _between("0" * left, high[1:]))))
    return Choice(tuple(options))
