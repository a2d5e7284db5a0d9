"""The one source file of every Cloud Function: a function's name is looked up when the framework asks for it.

`gateway` is the gateway, `routes` serves all route functions by path, and each row of the manifest is a function of
its own. Nothing else is imported, so a function pays only for what it needs.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    function = _build(name)
    globals()[name] = function
    return function


def _build(name: str) -> Any:
    if name == "gateway":
        from functions.gateway.main import entry

        return entry()
    from functions.routes import main as routes

    try:
        return routes.entry(name)
    except KeyError:
        raise AttributeError(f"no function is called {name!r}; functions/routes.json names them all") from None
