"""The LiteLLM proxy with one worker, from PyPI in a virtual environment of its own.

Its master key is checked; limits and usage need its database and are off, which is in its favour. The packages of its
extra `proxy` that are LiteLLM's own (migrations of that database, paid features) are left out: they reach an index
later than the release that names them, and nothing here needs them.
"""

from bench import mock
from bench.contender import Contender, Prepared, Site
from bench.installation import install_python
from bench.processes import Program, free_port

VERSION = "1.110.2"
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

INSTALL_REQUIREMENTS = """
import subprocess, sys
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
package, extra = sys.argv[1:]
wanted = [Requirement(each) for each in requires(package)]
here = [each for each in wanted if not each.marker or each.marker.evaluate({"extra": extra})]
names = [str(each).partition(";")[0] for each in here if not each.name.startswith(package)]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", *names]))
"""


def prepare(site: Site) -> Prepared:
    binaries = install_python(
        site.cache / f"litellm-{VERSION}", f"litellm=={VERSION}", then=(INSTALL_REQUIREMENTS, "litellm", "proxy")
    )
    configuration = site.scratch / "litellm.yaml"
    configuration.write_text(CONFIGURATION.format(model=mock.MODEL, upstream=site.upstream, key=KEY))
    port = free_port()
    flags = ("--config", str(configuration), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    program = Program((str(binaries / "litellm"), *flags), port, QUIET)
    return Prepared(VERSION, program, (("authorization", f"Bearer {KEY}"),))


CONTENDER = Contender("LiteLLM", "key", prepare)
