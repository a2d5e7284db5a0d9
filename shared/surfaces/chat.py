"""POST /v1/chat/completions."""

from shared.surfaces.answers import fault_of_whole
from shared.surfaces.surface import Surface

CHAT = Surface("chat_completions", "chat", "messages", fault_of_whole)
