"""Several processes, one store and any order of events: what a process says of a key was true a moment ago."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.core.errors import Conflict, Unauthenticated, Unavailable
from shared.core.keys import Caller
from shared.core.managed_keys import credential, from_document
from shared.keys.authentication import Authenticator
from shared.keys.memory import RETRY_S, KeyMemory, Work
from shared.ports.store import Document, Page, Query
from tests.fakes import FakeClock, FakeStore
from tests.keys.conftest import MAX_AGE_S
from tests.managed_keys import PEPPER, KeyOffice

GRACE_S = 20.0
PROCESSES, KEYS = 3, 3

numbers = st.integers(0, 9)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 3.65, 3.99, 4.01, 19.0])),
        st.tuples(st.just("request"), numbers, numbers),
        st.tuples(st.just("revoke"), numbers),
        st.tuples(st.just("rotate"), numbers, st.sampled_from([0.0, 3.0, 10.0])),
        st.tuples(st.just("expire"), numbers, st.sampled_from([None, 2.0, 8.0])),
        st.tuples(st.just("outage"), st.booleans()),
    ),
    max_size=80,
)


class FailingStore(FakeStore):
    is_down = False

    def get(self, collection: str, key: str) -> Document | None:
        self._check()
        return super().get(collection, key)

    def query(self, query: Query) -> Page:
        self._check()
        return super().query(query)

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable


class Platform:
    """Processes, and everything that the store has ever held."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FailingStore(self.clock)
        self.office = KeyOffice(self.store)
        made = [self.office.new() for _ in range(KEYS)]
        self.ids = [key_id for key_id, _ in made]
        self.texts = [(key_id, text) for key_id, text in made]
        self.history: list[tuple[float, dict[tuple[str, str], Document]]] = []
        self.outages: list[float] = []
        """Every moment at which the store was down and somebody could notice."""
        self._note()
        secrets = EnvironmentSecrets({"OMNI_KEY_PEPPER": PEPPER.decode()})
        self._background: list[Work] = []
        self._processes = [
            Authenticator(
                secrets, KeyMemory(self.store, self.clock, MAX_AGE_S, GRACE_S, self._background.append), self.clock
            )
            for _ in range(PROCESSES)
        ]

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def revoke(self, number: int) -> None:
        self._write(lambda: self.office.revoke(self.ids[number % KEYS]))

    def rotate(self, number: int, overlap_s: float) -> None:
        key_id = self.ids[number % KEYS]
        self._write(lambda: self.texts.append((key_id, self.office.rotate(key_id, overlap_s))))

    def expire(self, number: int, after_s: float | None) -> None:
        at = None if after_s is None else self.clock.now() + after_s
        self._write(lambda: self.office.change(self.ids[number % KEYS], expires_at=at))

    def outage(self, begins: bool) -> None:  # noqa: FBT001 (an event's value)
        self.store.is_down = begins

    def request(self, process: int, number: int) -> None:
        key_id, text = self.texts[number % len(self.texts)]
        if self.store.is_down:
            self.outages.append(self.clock.now())
        accepted = self._is_accepted(self._processes[process % PROCESSES], text)
        now = self.clock.now()
        if accepted is None:
            assert any(at >= now - RETRY_S for at in self.outages)
            return
        bound = GRACE_S if any(at >= now - GRACE_S for at in self.outages) else MAX_AGE_S
        assert accepted in {self._was_valid(held, key_id, text) for held in self._held_since(now - bound)}

    def _is_accepted(self, process: Authenticator, text: str) -> bool | None:
        """None when the process cannot tell."""
        try:
            return bool(self._remembered(process, text) or process.authenticate(text))
        except Unauthenticated:
            return False
        except Unavailable:
            return None

    def _remembered(self, process: Authenticator, text: str) -> Caller | None:
        """From memory; what goes on in the background is done before anything else."""
        try:
            return process.remembered(text)
        finally:
            while self._background:
                self._background.pop()()

    def _was_valid(self, held: dict[tuple[str, str], Document], key_id: str, text: str) -> bool:
        found, now = credential(from_document(held["keys", key_id])), self.clock.now()
        return found.has(text, (PEPPER,), now) and not found.has_ended(now)

    def _held_since(self, time: float) -> list[dict[tuple[str, str], Document]]:
        """What the store held at some moment since then."""
        ends = [began for began, _ in self.history[1:]] + [float("inf")]
        return [held for (_, held), end in zip(self.history, ends, strict=True) if end >= time]

    def _write(self, work: Work) -> None:
        """Changes are made where the store can be reached; that a revoked key stays as it is, is tested elsewhere."""
        was_down, self.store.is_down = self.store.is_down, False
        with suppress(Conflict):
            work()
        self.store.is_down = was_down
        self._note()

    def _note(self) -> None:
        self.history.append((self.clock.now(), dict(self.store.documents)))


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_what_a_process_says_of_a_key_was_true_a_moment_ago(events: list[tuple[Any, ...]]) -> None:
    platform = Platform()
    for name, *values in events:
        getattr(platform, name)(*values)
