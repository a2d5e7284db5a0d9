"""A pool that holders share, each up to its part."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Shortage(Enum):
    """Why nothing was taken."""

    OF_ALL = "of_all"
    OF_SHARE = "of_share"


@dataclass(slots=True)
class SharedPool:
    most: int
    most_each: int
    _taken: Counter[str] = field(default_factory=Counter)
    """By holder; none that holds nothing."""
    _total: int = 0

    def take(self, holder: str, amount: int) -> Shortage | None:
        """None once it is taken; `give_back` must follow."""
        if self._taken[holder] + amount > self.most_each:
            shortage = Shortage.OF_SHARE
        elif self._total + amount > self.most:
            shortage = Shortage.OF_ALL
        else:
            self._taken[holder] += amount
            self._total += amount
            return None
        self.give_back(holder, 0)
        return shortage

    def give_back(self, holder: str, amount: int) -> None:
        self._taken[holder] -= amount
        self._total -= amount
        if not self._taken[holder]:
            del self._taken[holder]
