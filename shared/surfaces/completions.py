"""POST /v1/completions, the older form."""

from shared.surfaces.answers import fault_of_whole
from shared.surfaces.surface import Surface

COMPLETIONS = Surface("completions", "completion", "prompt", fault_of_whole)
