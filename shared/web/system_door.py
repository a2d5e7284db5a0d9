"""How the platform itself comes in: Cloud Tasks and Cloud Scheduler, by the ID token they send."""

from collections.abc import Collection, Mapping

from shared.core.errors import PermissionDenied, Unauthenticated
from shared.core.keys import SYSTEM, Caller
from shared.ports.verifier import Verifier
from shared.settings import Settings, SettingsError


class SystemDoor:
    def __init__(self, verifier: Verifier, accounts: Collection[str], audiences: Collection[str]) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._audiences = audiences

    @classmethod
    def from_settings(cls, settings: Settings, verifier: Verifier, audiences: Collection[str]) -> "SystemDoor | None":
        """None in a local stack. `audiences` are the base URLs of the services that this process is. SettingsError
        when nobody could come in: tasks and schedules are never open."""
        if settings.is_local:
            return None
        accounts = frozenset(account.strip() for account in settings.system_accounts.split(",") if account.strip())
        if not accounts:
            raise SettingsError("OMNI_SYSTEM_ACCOUNTS is missing: it names who may run tasks and schedules")
        return cls(verifier, accounts, frozenset(audiences))

    def enter(self, headers: Mapping[str, str]) -> Caller:
        """The platform as a caller; Unauthenticated, PermissionDenied or Unavailable."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("This address is for the platform, which sends an ID token.", code="no_id_token")
        account = self._verifier.account(token.strip(), self._audiences)
        if account not in self._accounts:
            raise PermissionDenied("This account may not run tasks or schedules.", detail=account)
        return SYSTEM
