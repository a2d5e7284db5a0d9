"""What `--model` means: which model the worker serves, and under which name callers ask for it."""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.catalogue import Catalogue
from shared.core.routing import WORKER, Model
from shared.settings import Settings

NONE = "none"
EXTENDED_CATALOGUE = "models.toml"


class UnknownModel(Exception):
    """`--model` names nothing that the worker could serve."""

    def __init__(self, asked: str, known: list[str]) -> None:
        super().__init__(
            f"the worker has no model '{asked}'; it can serve {', '.join(known)}, "
            f"a GGUF file by its path, or '{NONE}' to start without a model"
        )


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The worker's model as its settings name it."""

    name: str
    path: str
    models_file: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OMNI_WORKER_MODEL": self.name,
            "OMNI_WORKER_MODEL_PATH": self.path,
            "OMNI_MODELS_FILE": str(self.models_file),
        }


def choose(asked: str | None, settings: Settings) -> ModelChoice:
    """What `--model` asks for; without it, what the settings say. UnknownModel when there is no such thing."""
    catalogue = Catalogue.load(settings.models_file)
    known = [model.id for model in catalogue.models if _on_worker(model)]
    models_file = settings.models_file.resolve()
    if asked is None:
        asked, path = settings.worker_model, settings.worker_model_path
    else:
        path = ""
    if asked == NONE or asked in known:
        return ModelChoice(asked, path, models_file)
    file = settings.called_from / asked
    if not file.is_file():
        raise UnknownModel(asked, known)
    return _by_path(file.resolve(), known, settings)


def _by_path(file: Path, known: list[str], settings: Settings) -> ModelChoice:
    """A GGUF file: callers ask for it by the file's name, so the stack gets a catalogue that has it."""
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower())
    if name in known:
        return ModelChoice(name, str(file), settings.models_file.resolve())
    row = f'[[model]]\nid = "{name}"\nkinds = ["chat", "completion"]\nupstreams = [{{ worker = true }}]\n'
    extended = (settings.state_dir / EXTENDED_CATALOGUE).resolve()
    extended.write_text(f"{settings.models_file.read_text()}\n# Added by ./omni up --model {file}\n{row}")
    return ModelChoice(name, str(file), extended)


def _on_worker(model: Model) -> bool:
    return any(target.url == WORKER for target in model.targets)
