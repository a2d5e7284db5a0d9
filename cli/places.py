"""Folders that the commands start from: `./omni` itself runs in the checkout, wherever it was called."""

from pathlib import Path

from cli.errors import CliError
from shared.settings import Settings, SettingsError

CHECKOUT = Path(__file__).resolve().parent.parent


def dev_env() -> Path:
    """What a running `omni up` leaves for its callers: its address and a key."""
    return CHECKOUT / _settings().state_dir / "dev.env"


def named_by_caller(path: str) -> Path:
    """A path as it was meant where `./omni` was called."""
    return _settings().called_from / path


def _settings() -> Settings:
    try:
        return Settings.load()
    except SettingsError as error:
        raise CliError(f"{error}.") from None
