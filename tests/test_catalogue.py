"""models.toml: what is wrong with it is said at the start, with the file and the field."""

from pathlib import Path

import pytest

from shared.catalogue import Catalogue, CatalogueError
from shared.core.pricing import Price

PRICED = '[[model]]\nid = "a"\nupstreams = [{{ worker = true }}]\nprice = {}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]\n", "models.toml"),
        ('[[model]]\nid = "a"\nupstreams = []\n', "upstreams"),
        ('[[model]]\nid = "a"\nupstreams = [{}]\n', "either `url` or `worker = true`"),
        ('[[model]]\nid = "a"\nupstreams = [{ worker = true, url = "http://x" }]\n', "either `url` or `worker"),
        ('[[model]]\nid = "a"\nupstreams = [{ url = "ftp://x" }]\n', "http:// or https://"),
        ('[[model]]\nid = "a"\nupstreams = [{ url = "https://me:sk-1@x/v1" }]\n', "api_key_env"),
        ('[[model]]\nid = "a"\nupstreams = [{ url = "https://x/v1?key=sk-1" }]\n', "api_key_env"),
        ('[[model]]\nid = "a"\nupstreams = [{ url = "https://x:99999/v1" }]\n', "no plain address"),
        ('[[model]]\nid = "a"\nupstreams = [{ worker = true, weight = 0 }]\n', "weight"),
        ('[[model]]\nid = "a"\ncolour = 1\nupstreams = [{ worker = true }]\n', "colour"),
        ('[[model]]\nid = "a"\nupstreams = [{ worker = true }]\n' * 2, "more than once: a"),
        (PRICED.format("{ input = -1 }"), "the price of 'a': `input`: -1 is not between"),
        (PRICED.format("{ output = nan }"), "`output`: NaN is not between"),
        (PRICED.format("{ output = 0.0000001 }"), "more than six decimals"),
        (PRICED.format('{ output = "much" }'), "price.output"),
        (PRICED.format("{ ouput = 1 }"), "ouput"),
        ("[prices]\nfallback = { per_second = inf }\n", "prices.fallback: `per_second`"),
        ('[prices]\nrequired = true\n[[model]]\nid = "a"\nupstreams = [{ worker = true }]\n', "have no price: a"),
    ],
)
def test_a_bad_catalogue_is_refused_with_a_reason(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=said.replace("(", r"\(")):
        Catalogue.load(path)


def test_a_missing_catalogue_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="OMNI_MODELS_FILE"):
        Catalogue.load(tmp_path / "none.toml")


def test_prices_are_exact_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(PRICED.format('{ input = "0.15", output = 0.6, cached_input = 0.075, per_second = 0.0001867 }'))
    assert Catalogue.load(path).get("a").price == Price(150_000, 600_000, 75_000, 0, 186_700_000)


def test_the_shipped_catalogue_can_be_used() -> None:
    assert Catalogue.load(Path("models.toml")).get("smollm2-135m-instruct").upstreams[0].is_worker
