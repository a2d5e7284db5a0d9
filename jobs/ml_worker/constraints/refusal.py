"""Why a schema is not taken."""


class SchemaRefused(Exception):
    """The message is a sentence for the caller; `code` is one of the platform's error codes."""

    code = "invalid_schema"
    at: "tuple[str, ...] | None" = None
    """Where in the schema."""


class Unsupported(SchemaRefused):
    """It asks for what the answer could not be held to."""

    code = "unsupported_schema"


class TooComplex(SchemaRefused):
    """Its grammar would take the engine too much memory or time, for a while in which it answers no one else."""

    code = "schema_too_complex"
