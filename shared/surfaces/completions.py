"""POST /v1/completions, the older form."""

from shared.surfaces.surface import Surface, has_choices

COMPLETIONS = Surface("completions", "completion", "prompt", has_choices)
