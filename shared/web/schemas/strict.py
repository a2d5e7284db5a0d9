"""How strictly bodies are read: "5" is no number, true is no integer; an integer may stand for a float.

Lists and dicts of requests have a bound and `fail_fast`: one wrong item is told, and not each of a million, at a
kilobyte apiece.
"""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """For requests of our own. Refuses fields it does not know: a misspelt one would be ignored in silence."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class Known(Strict):
    """For what reaches a model's server as it is: a field that is not known here might mean something there."""

    model_config = ConfigDict(serialize_by_alias=True)


class Open(Strict):
    """Keeps fields it does not know: requests carry some for the model's server, answers may gain some."""

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)
