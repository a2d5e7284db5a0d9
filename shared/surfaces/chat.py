"""POST /v1/chat/completions."""

from shared.surfaces.surface import Surface, has_choices

CHAT = Surface("chat_completions", "chat", "messages", has_choices)
