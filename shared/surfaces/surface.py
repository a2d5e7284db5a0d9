"""An inference endpoint family, as one value."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Surface:
    route: str
    """The row of the manifest."""
    kind: str
    """What a model must be able to do."""
    prompt_field: str
    """The request's field that a model reads."""
    fault_of_whole: Callable[[bytes], str]
    """Why the body of a 2xx is no answer of this surface; empty when it is one."""
