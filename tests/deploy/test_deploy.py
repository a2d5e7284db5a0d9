"""`omni deploy` looks before it makes anything, and says in sentences what stands in the way."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.__main__ import omni
from deploy import provision
from deploy.provision import WorkerSize
from tests.deploy.cloud import PROJECT, Cloud, quota

MAKING = ("terraform", "gcloud storage buckets create", "gcloud run services update-traffic")
IMAGE = ("--image", "europe-west4-docker.pkg.dev/demo-project-1/omni/ml-worker:1", "--model", "smollm2-135m-instruct")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    (folder := tmp_path / "bin").mkdir()
    cloud = Cloud(folder)
    monkeypatch.setenv("PATH", cloud.path)
    monkeypatch.setattr("deploy.provision.CONFIGURATION", tmp_path)
    return cloud


def deploy(*words: str, project: str = PROJECT) -> Result:
    return CliRunner().invoke(omni, ["deploy", "--project", project, *words])


def made(cloud: Cloud) -> list[str]:
    return [line for line in cloud.asked if line.startswith(MAKING) and " console " not in line]


def test_a_project_that_has_everything_passes_and_nothing_is_made(cloud: Cloud) -> None:
    result = deploy("--check", *IMAGE)
    assert result.exit_code == 0, result.output
    assert "has what it takes" in result.stdout
    assert made(cloud) == []


Change = Callable[[Cloud], None]


def refused(to: str, text: str) -> Change:
    return lambda cloud: cloud.refusals.update({to: text})


def answered(to: str, says: object) -> Change:
    return lambda cloud: cloud.answers.update({to: says})


def size(**size: object) -> str:
    """What Terraform prints of a size that it was asked to encode."""
    return json.dumps(json.dumps(size))


NO_PERMISSION = "ERROR: (gcloud.projects.describe) PERMISSION_DENIED: The caller does not have permission"


@pytest.mark.parametrize(
    ("change", "words", "sentence"),
    [
        (answered("auth list", []), (), "You are not logged in: `gcloud auth login`"),
        (
            refused("auth application-default print-access-token", "ERROR: no"),
            (),
            "`gcloud auth application-default login`",
        ),
        (refused("projects describe", NO_PERMISSION), (), "does not exist, or you may not see it"),
        (
            answered("projects describe", {"lifecycleState": "DELETE_REQUESTED"}),
            (),
            "is not active but DELETE_REQUESTED",
        ),
        (answered("billing projects describe", {"billingEnabled": False}), (), "has no billing account"),
        (answered("services list", []), (), "gcloud services enable cloudresourcemanager.googleapis.com"),
        (answered("x", ""), ("--region", "mars-west1"), "'mars-west1' is not a region of Cloud Run"),
        (refused("run regions list", "ERROR: API off"), ("--region", "mars-west1"), "'mars-west1' is not a region"),
        (answered("x", ""), ("--region", "europe-west3", *IMAGE), "Cloud Run has no nvidia-l4 in europe-west3"),
        (answered("beta quotas info list", [quota(0)]), IMAGE, "The quota for nvidia-l4 in europe-west4 is 0"),
        (answered("beta quotas info list", []), IMAGE, "Cloud Run tells no quota for nvidia-l4"),
        (refused("beta quotas info list", "ERROR: API not enabled"), IMAGE, "The GPU quota cannot be read"),
        (answered("x", ""), IMAGE[:2], "A worker needs a model"),
        (answered("x", ""), IMAGE[2:], "name its image with --image"),
        (answered("x", ""), (*IMAGE[:2], "--model", "nope"), "no model 'nope' that the worker serves; it has: smollm2"),
        (answered("x", ""), ("--image", "worker", *IMAGE[2:]), "'worker' is not an image with a tag or digest"),
        (answered("x", ""), ("--var-file", "/nowhere.tfvars"), "There is no file /nowhere.tfvars"),
        (answered("console", size(max_instances=5)), IMAGE, "is 3, and the worker may have 5 instances"),
        (answered("console", size(accelerator="nvidia-rtx-pro-6000")), IMAGE, "no quota for nvidia-rtx-pro-6000"),
    ],
)
def test_what_stands_in_the_way_is_a_sentence_before_anything_is_made(
    cloud: Cloud, change: Change, words: tuple[str, ...], sentence: str
) -> None:
    change(cloud)
    cloud.say()
    result = deploy("--yes", *words)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert made(cloud) == []


def test_an_id_that_cannot_be_one_is_not_even_asked_for(cloud: Cloud) -> None:
    result = deploy("--yes", project="My Project")
    assert "is not a project id" in result.stderr
    assert cloud.asked == []


def test_a_missing_key_of_another_upstream_is_named_with_what_makes_it(cloud: Cloud, tmp_path: Path) -> None:
    first = '{ url = "https://a.example/v1", api_key_env = "FIRST_KEY" }'
    second = '{ url = "https://b.example/v1", api_key_env = "OTHER_KEY" }'
    upstreams = f"upstreams = [{first}, {second}]"
    (models := tmp_path / "models.toml").write_text(f'[[model]]\nid = "big"\n{upstreams}\n')
    result = deploy("--yes", "--models", str(models))
    assert "The secret OTHER_KEY is missing: `gcloud secrets create omni-OTHER_KEY" in result.stderr
    assert "FIRST_KEY" not in result.stderr
    assert made(cloud) == []


def test_everything_in_the_way_is_told_at_once(cloud: Cloud) -> None:
    cloud.answers |= {"billing projects describe": {"billingEnabled": False}, "services list": []}
    cloud.say()
    assert deploy("--yes").stderr.count("\n  - ") == 2


def test_an_image_without_a_model_may_be_meant(cloud: Cloud) -> None:
    """Cloud Build always has an image, and a platform needs no worker."""
    assert deploy("--check", *IMAGE[:2], "--model=").exit_code == 0
    assert not [line for line in cloud.asked if "quotas" in line]


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on the PATH")
def test_a_file_s_size_of_the_worker_is_read_as_terraform_reads_it(tmp_path: Path) -> None:
    (first := tmp_path / "a.tfvars").write_text('region = "x"\nworker_size = {\n  max_instances = 2\n}\n')
    (second := tmp_path / "b.tfvars").write_text(
        'worker_size = { accelerator = "nvidia-rtx-pro-6000", max_instances = 2 * 3 }'
    )
    assert provision.worker_size([first]) == WorkerSize(max_instances=2)
    assert provision.worker_size([first, second]) == WorkerSize("nvidia-rtx-pro-6000", 2 * 3)


def test_without_gcloud_it_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "gcloud is not installed" in deploy("--yes").stderr


def test_it_tells_what_it_would_do_and_what_goes_and_asks(cloud: Cloud) -> None:
    result = CliRunner().invoke(omni, ["deploy", "--project", PROJECT], input="n\n")
    assert "1 to make, 1 to remove" in result.stdout
    assert "goes: google_storage_bucket.old" in result.stdout
    assert "USD a month" in result.stdout
    assert not [line for line in cloud.asked if line.startswith("terraform") and " apply" in line]


def test_it_tells_where_the_platform_is(cloud: Cloud) -> None:
    cloud.answers["output"] = {
        "address": {"value": "http://127.0.0.1:9"},
        "admin_key_secret": {"value": "omni-API_KEYS"},
    }
    cloud.say()
    result = deploy("--yes")
    assert result.exit_code == 0, result.output
    assert "Address: http://127.0.0.1:9" in result.stdout
    assert "master-key" not in result.output


def test_a_platform_that_does_not_work_gets_its_traffic_back(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.answers["output"] = {
        "address": {"value": "http://127.0.0.1:9"},
        "admin_key_secret": {"value": "omni-API_KEYS"},
    }
    cloud.say()
    revisions = iter([{"omni-gateway": "omni-gateway-00001"}, {"omni-gateway": "omni-gateway-00002"}])
    monkeypatch.setattr("deploy.traffic.serving", lambda *_: next(revisions))
    result = deploy("--yes", "--smoke")
    assert result.exit_code == 1
    assert "The traffic is back where it was: omni-gateway" in result.stderr
    assert any("update-traffic omni-gateway" in line and "omni-gateway-00001=100" in line for line in cloud.asked)


def test_a_deployment_that_breaks_off_gets_its_traffic_back(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.refusals["apply"] = "Error: quota exceeded"
    cloud.say()
    revisions = iter([{"omni-gateway": "omni-gateway-00001"}, {"omni-gateway": "omni-gateway-00002"}])
    monkeypatch.setattr("deploy.traffic.serving", lambda *_: next(revisions))
    result = deploy("--yes")
    assert result.exit_code == 1
    assert "quota exceeded" in result.stderr
    assert "The traffic is back where it was: omni-gateway." in result.stderr


def test_only_the_platforms_own_services_are_given_back(cloud: Cloud) -> None:
    from deploy.google import Gcloud
    from deploy.traffic import serving

    assert serving(Gcloud(PROJECT), "omni", "europe-west4") == {"omni-gateway": "omni-gateway-00001"}


def test_destroying_asks_for_the_projects_id(cloud: Cloud) -> None:
    result = CliRunner().invoke(omni, ["destroy", "--project", PROJECT], input="another\n")
    assert result.exit_code == 1
    assert "nothing was removed" in result.stderr
    assert not [line for line in cloud.asked if " apply" in line]
    assert CliRunner().invoke(omni, ["destroy", "--project", PROJECT], input=f"{PROJECT}\n").exit_code == 0
    assert [line for line in cloud.asked if " apply" in line]


def test_destroying_what_never_was_makes_nothing(cloud: Cloud) -> None:
    cloud.refusals["storage buckets describe"] = "ERROR: not found"
    cloud.say()
    result = CliRunner().invoke(omni, ["destroy", "--project", PROJECT, "--yes"])
    assert "Nothing was ever deployed from here to 'demo-project-1'" in result.stderr
    assert made(cloud) == []


@pytest.mark.parametrize(("project", "sentence"), [("My Project", "is not a project id"), (PROJECT, "not logged in")])
def test_destroying_asks_first_who_and_what(cloud: Cloud, project: str, sentence: str) -> None:
    cloud.answers["auth list"] = []
    cloud.say()
    result = CliRunner().invoke(omni, ["destroy", "--project", project, "--yes"])
    assert sentence in result.stderr
    assert made(cloud) == []
