"""The engine of the worker's tests, by its settings: the embedded one, unless OMNI_TEST_ENGINE says another."""

import json
import os

ENGINE: dict[str, str] = json.loads(os.environ.get("OMNI_TEST_ENGINE", "{}"))
START_S = 600.0 if ENGINE else 120.0
"""How long a start may take."""
