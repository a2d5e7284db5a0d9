"""Metrics as plain numbers in tables. One collector turns them into Prometheus' samples when they are read.

To count costs a lock and an addition; prometheus_client stays the exposition.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from math import inf
from threading import Lock
from typing import ClassVar, Generic, TypeVar

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

Labels = dict[str, str]


class Count:
    """A number that only grows."""

    __slots__ = ("_lock", "_value")

    def __init__(self) -> None:
        self._lock = Lock()
        self._value = 0.0

    def inc(self, amount: float = 1) -> None:
        with self._lock:
            self._value += amount

    def samples(self, name: str, labels: Labels) -> Iterator[Sample]:
        yield Sample(f"{name}_total", labels, self._value)


class Level:
    """A number that rises and falls."""

    __slots__ = ("_lock", "_read", "_value")

    def __init__(self) -> None:
        self._lock = Lock()
        self._value = 0.0
        self._read: Callable[[], float] = lambda: self._value

    def set(self, value: float) -> None:
        self._value = value

    def set_function(self, read: Callable[[], float]) -> None:
        """The number is asked for when the metrics are read."""
        self._read = read

    @contextmanager
    def track_inprogress(self) -> Iterator[None]:
        """Higher by one as long as the context lasts."""
        with self._lock:
            self._value += 1
        try:
            yield
        finally:
            with self._lock:
                self._value -= 1

    def samples(self, name: str, labels: Labels) -> Iterator[Sample]:
        yield Sample(name, labels, float(self._read()))


class Distribution:
    """How many values lie below each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_lock", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._lock = Lock()
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def samples(self, name: str, labels: Labels) -> Iterator[Sample]:
        with self._lock:
            below, total = list(accumulate(self._counts)), self._sum
        for bound, count in zip((*self._bounds, inf), below, strict=True):
            text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]
            yield Sample(f"{name}_bucket", {**labels, "le": text}, float(count))
        yield Sample(f"{name}_count", labels, float(below[-1]))
        yield Sample(f"{name}_sum", labels, total)


S = TypeVar("S", Count, Level, Distribution)


class Table(ABC, Generic[S]):
    """A metric: a row of numbers for each set of labels that was ever seen. One without labels has its row at once."""

    type: ClassVar[str]

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.label_names = labels
        self._rows: dict[tuple[str, ...], S] = {}
        self._adding = Lock()
        if not labels:
            self.labels()

    def labels(self, *values: str) -> S:
        """The row for these labels, in their order."""
        return self._rows.get(values) or self._added(values)

    def family(self) -> Metric:
        """The metric as it stands."""
        family = self.empty()
        with self._adding:
            rows = list(self._rows.items())
        for values, row in rows:
            family.samples += row.samples(family.name, dict(zip(self.label_names, values, strict=True)))
        return family

    def empty(self) -> Metric:
        return Metric(self.name.removesuffix("_total"), self.documentation, self.type)

    @abstractmethod
    def _new(self) -> S: ...

    def _added(self, values: tuple[str, ...]) -> S:
        """ValueError for too few labels, or too many."""
        if len(values) != len(self.label_names):
            raise ValueError(f"{self.name} has the labels {self.label_names}, not {values}")
        with self._adding:
            return self._rows.setdefault(values, self._new())


class Counter(Table[Count]):
    type = "counter"

    def inc(self, amount: float = 1) -> None:
        self.labels().inc(amount)

    def _new(self) -> Count:
        return Count()


class Gauge(Table[Level]):
    type = "gauge"

    def set(self, value: float) -> None:
        self.labels().set(value)

    def set_function(self, read: Callable[[], float]) -> None:
        self.labels().set_function(read)

    def _new(self) -> Level:
        return Level()


class Histogram(Table[Distribution]):
    type = "histogram"

    def __init__(self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._bounds = bounds
        super().__init__(name, documentation, labels)

    def _new(self) -> Distribution:
        return Distribution(self._bounds)


T = TypeVar("T", Counter, Gauge, Histogram)


class Metrics(Collector):
    """All tables of a process, as prometheus_client's registry reads them."""

    def __init__(self) -> None:
        self.tables: list[Counter | Gauge | Histogram] = []

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        return self._with(Counter(name, documentation, labels))

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        return self._with(Gauge(name, documentation, labels))

    def histogram(self, name: str, documentation: str, labels: Sequence[str], *, bounds: Sequence[float]) -> Histogram:
        return self._with(Histogram(name, documentation, labels, bounds))

    def describe(self) -> Iterable[Metric]:
        return [table.empty() for table in self.tables]

    def collect(self) -> Iterable[Metric]:
        return [table.family() for table in self.tables]

    def _with(self, table: T) -> T:
        self.tables.append(table)
        return table
