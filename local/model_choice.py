"""What `--model` means: which model the worker serves, and under which name callers ask for it."""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.catalogue import Catalogue
from shared.core.routing import Model
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
    models_file = settings.models_file.resolve()
    catalogue = Catalogue.load(models_file)  # what is wrong with it is told before anything is started
    if asked is None:
        return ModelChoice(settings.worker_model, settings.worker_model_path, models_file)
    known = [model.id for model in catalogue.models if _is_for_worker(model)]
    if asked == NONE or asked in known:
        return ModelChoice(asked, settings.worker_model_path, models_file)
    file = (settings.called_from / asked).resolve()
    if not file.is_file():
        raise UnknownModel(asked, known)
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-")
    return ModelChoice(name, str(file), models_file if name in known else _extended(settings, name, file))


def _is_for_worker(model: Model) -> bool:
    return any(target.is_worker for target in model.upstreams)


def _extended(settings: Settings, name: str, file: Path) -> Path:
    """The catalogue and one model more, so that callers can ask for a file's model by the file's name."""
    row = f'[[model]]\nid = "{name}"\nkinds = ["chat", "completion"]\nupstreams = [{{ worker = true }}]\n'
    extended = (settings.state_dir / EXTENDED_CATALOGUE).resolve()
    extended.write_text(f"{settings.models_file.read_text()}\n# Added by ./omni up --model {file}\n{row}")
    Catalogue.load(extended)  # a name that an external model has already is refused here
    return extended
