"""How strictly request bodies are read: "5" is no number, true is no integer; an integer may stand for a float."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Refuses fields it does not know: a misspelt one would otherwise be ignored in silence."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class Open(Strict):
    """Passes fields it does not know through, to whichever model's server they are meant for."""

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)
