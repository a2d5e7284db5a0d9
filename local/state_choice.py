"""What holds the local stack's documents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local import firestore_emulator
from local.addresses import HOST, free_port
from shared.settings import Settings, StateKeeper


@dataclass(frozen=True, slots=True)
class StateChoice:
    label: str
    """For people."""
    environment: Mapping[str, str]
    """The settings that choose it."""
    emulator: tuple[str, ...] = ()
    """Starts the emulator; empty: none is needed."""
    emulator_url: str = field(default="")
    """Answers 200 once the emulator runs."""


def choose(state: StateKeeper, settings: Settings, draw: Callable[[range], int]) -> StateChoice:
    """EmulatorMissing when this machine cannot run it. An emulator that the settings name is used as it is."""
    chosen = {"OMNI_STATE": state.value}
    if state is StateKeeper.SQLITE:
        return StateChoice(f"sqlite in {_short(settings.state_dir.resolve())}", chosen)
    if settings.firestore_emulator:
        return StateChoice(f"Firestore emulator at {settings.firestore_emulator}", chosen)
    port = free_port(draw)
    return StateChoice(
        "Firestore emulator, in memory: gone when it stops",
        chosen | {"FIRESTORE_EMULATOR_HOST": f"{HOST}:{port}"},
        firestore_emulator.command(HOST, port),
        f"http://{HOST}:{port}/",
    )


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
