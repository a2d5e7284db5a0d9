"""The LiteLLM proxy with one worker, from PyPI in a virtual environment of its own.

Its master key is checked; limits and usage need its database and are off, which is in its favour.
"""

import sys

from bench import mock
from bench.contender import Contender, Prepared, Site
from bench.installation import install
from bench.processes import Program, free_port

VERSION = "1.106.0"
KEY = "sk-bench"
CONFIGURATION = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: {upstream}/v1
      api_key: sk-upstream
general_settings:
  master_key: {key}
litellm_settings:
  set_verbose: false
  telemetry: false
"""
QUIET = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""No log line a request, and no price list fetched at the start, so that the network is not measured."""


def prepare(site: Site) -> Prepared:
    folder = site.cache / f"litellm-{VERSION}"
    python = str(folder / "venv/bin/python")
    requirement = f"litellm[proxy]=={VERSION}"
    install(
        folder,
        [sys.executable, "-m", "venv", "venv"],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
    )
    configuration = site.scratch / "litellm.yaml"
    configuration.write_text(CONFIGURATION.format(model=mock.MODEL, upstream=site.upstream, key=KEY))
    port = free_port()
    flags = ("--config", str(configuration), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    program = Program((str(folder / "venv/bin/litellm"), *flags), port, QUIET)
    return Prepared(VERSION, program, (("authorization", f"Bearer {KEY}"),))


CONTENDER = Contender("LiteLLM", "key", prepare)
