from pathlib import Path

import pytest

from local.model_choice import ModelChoice, UnknownModel, choose
from shared.catalogue import Catalogue, CatalogueError
from shared.settings import Settings

CATALOGUE = """
[[model]]
id = "small"
upstreams = [{ worker = true }]

[[model]]
id = "elsewhere"
upstreams = [{ url = "https://models.example/v1" }]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models.toml").write_text(CATALOGUE)
    (tmp_path / "state").mkdir()
    return Settings(
        models_file=tmp_path / "models.toml",
        state_dir=tmp_path / "state",
        called_from=tmp_path,
        worker_model="from-settings",
        worker_model_path="/models/from-settings.gguf",
    )


def test_without_the_option_the_settings_decide(settings: Settings) -> None:
    assert choose(None, settings) == ModelChoice(
        "from-settings", "/models/from-settings.gguf", settings.models_file.resolve()
    )


def test_a_catalogue_id_is_served_under_that_id(settings: Settings) -> None:
    assert choose("small", settings).name == "small"


def test_none_starts_without_a_model(settings: Settings) -> None:
    assert choose("none", settings).name == "none"


@pytest.mark.parametrize("asked", ["elsewhere", "nonsense", "missing.gguf", ""])
def test_what_the_worker_cannot_serve_is_refused_with_what_it_can(settings: Settings, asked: str) -> None:
    with pytest.raises(UnknownModel, match=f"no model '{asked}'; it can serve small, a GGUF file by its path, or"):
        choose(asked, settings)


def test_a_file_is_found_from_where_the_command_was_typed_and_joins_the_catalogue(settings: Settings) -> None:
    file = settings.called_from / "My Model (Q4).GGUF"
    file.touch()

    choice = choose("My Model (Q4).GGUF", settings)

    assert (choice.name, choice.path) == ("my-model-q4", str(file.resolve()))
    assert [model.id for model in Catalogue.load(choice.models_file).models] == ["small", "elsewhere", "my-model-q4"]


def test_a_file_named_like_a_worker_model_takes_its_place(settings: Settings) -> None:
    (settings.called_from / "small.gguf").touch()

    assert choose("small.gguf", settings).models_file == settings.models_file.resolve()


def test_a_file_named_like_an_external_model_is_refused(settings: Settings) -> None:
    (settings.called_from / "elsewhere.gguf").touch()

    with pytest.raises(CatalogueError, match="elsewhere"):
        choose("elsewhere.gguf", settings)
