"""The surfaces there are, by the name of their route."""

from shared.surfaces.chat import CHAT
from shared.surfaces.completions import COMPLETIONS

SURFACES = {surface.route: surface for surface in (CHAT, COMPLETIONS)}
