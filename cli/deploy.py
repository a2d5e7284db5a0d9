"""omni deploy."""

import re
from collections.abc import Mapping
from pathlib import Path

import click

from cli.cost import setup
from cli.errors import CliError
from cli.package import ARCHIVE, catalogue
from cli.places import CHECKOUT, named_by_caller
from deploy import cost, preflight, provision, traffic
from deploy.google import CloudError, Gcloud
from deploy.preflight import Wish

NAME = "omni"
IMAGE = re.compile(r"[a-z0-9.-]+/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_.-]+)")
"""As in terraform/variables_worker.tf."""
READING = "gcloud secrets versions access latest --secret={} --project={}"


@click.command()
@click.option("--project", required=True, metavar="ID", help="The Google Cloud project.")
@click.option("--region", default="europe-west4", show_default=True, help="Region of all resources.")
@click.option("--env", "environment", type=click.Choice(["dev", "prod"]), default="dev", show_default=True)
@click.option("--image", metavar="IMAGE", help="Container image of the worker. Without it no worker is deployed.")
@click.option("--model", metavar="ID", help="Id in models.toml of the model that the worker serves. Empty: no worker.")
@click.option("--weights", default="", metavar="PATH", help="Folder of the model's weights in the weights bucket.")
@click.option("--models", metavar="FILE", help="The model catalogue. Default: models.toml.")
@click.option(
    "--var-file",
    "files",
    multiple=True,
    metavar="FILE",
    help="File of Terraform variables. --project and --region override it.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--check", is_flag=True, help="Check the project and create nothing.")
@click.option(
    "--smoke", is_flag=True, help="Run 'omni smoke' afterwards, and move traffic back to the old version if it fails."
)
def command(
    project: str,
    region: str,
    environment: str,
    image: str | None,
    model: str | None,
    weights: str,
    models: str | None,
    files: tuple[str, ...],
    yes: bool,  # noqa: FBT001
    check: bool,  # noqa: FBT001
    smoke: bool,  # noqa: FBT001
) -> None:
    """Deploys to Google Cloud: checks the project, plans, shows the price, asks for confirmation and applies the plan.

    \b
    Examples:
      omni deploy --project my-project --check
      omni deploy --project my-project
      omni deploy --project my-project --env prod --image REPOSITORY/ml-worker:1 --model my-model --weights my-model
    """
    chosen = variable_files(environment, files)
    secrets = _upstream_secrets(catalogue(models))
    given: dict[str, object] = {"project": project, "region": region, "upstream_secrets": list(secrets)}
    if worker := _worker(image, model, weights, catalogue(models)):
        given["worker"] = worker
    try:
        size = provision.worker_size(chosen) if worker else provision.WorkerSize(accelerator="")
        wish = Wish(project, region, NAME, size.accelerator, size.max_instances, secrets)
        cloud = Gcloud(project)
        look(wish, cloud)
        if check:
            return
        outputs = _deploy(cloud, wish, catalogue(models), chosen, given, environment, yes=yes, smoke=smoke)
    except CloudError as error:
        raise CliError(str(error)) from None
    click.echo(f"Address: {outputs['address']}")
    click.echo(f"First key: {READING.format(outputs['admin_key_secret'], project)}")


def variable_files(environment: str, more: tuple[str, ...]) -> list[Path]:
    """The environment's and the caller's, in the order in which Terraform reads them; CliError if one is missing."""
    given = [named_by_caller(each) for each in more]
    if missing := [str(file) for file in given if not file.is_file()]:
        raise CliError(f"There is no file {' and no file '.join(missing)} (--var-file).")
    return [CHECKOUT / "terraform" / "envs" / f"{environment}.tfvars", *given]


def _worker(image: str | None, model: str | None, weights: str, models: Path) -> dict[str, object] | None:
    """What is to run; None without an image, or when the model is said to be none by an empty --model."""
    from shared.catalogue import Catalogue

    if image and model is None:
        raise CliError("A worker needs a model: name it with --model, as models.toml does.")
    if not image and (model or weights):
        raise CliError("--model and --weights are for a worker: name its image with --image.")
    if not image or not model:
        return None
    if not IMAGE.fullmatch(image):
        raise CliError(f"'{image}' is not an image with a tag or digest: HOST/PATH:TAG or HOST/PATH@sha256:….")
    mine = [each.id for each in Catalogue.load(models).models if any(target.is_worker for target in each.upstreams)]
    if model not in mine:
        raise CliError(
            f"{models.name} has no model '{model}' that the worker serves; it has: {', '.join(mine) or 'none'}."
        )
    return {"image": image, "model": model, "weights": weights}


def look(wish: Wish, cloud: Gcloud) -> None:
    """CliError with everything that stands in the way."""
    if found := preflight.findings(wish, cloud):
        raise CliError("Nothing was made, because:\n" + "\n".join(f"  - {sentence}" for sentence in found))
    click.echo(f"The project {wish.project} has what it takes.")


def _deploy(
    cloud: Gcloud,
    wish: Wish,
    models: Path,
    files: list[Path],
    given: Mapping[str, object],
    environment: str,
    *,
    yes: bool,
    smoke: bool,
) -> dict[str, str]:
    """Terraform's outputs, by name. What ran before gets its traffic back when it fails, or does not work."""
    from local import package

    package.write(ARCHIVE, models)
    terraform = provision.Terraform()
    terraform.begin(provision.make_state_bucket(cloud, wish.name, wish.region))
    summary = terraform.plan(files, given)
    click.echo(f"Terraform: {summary.text}.")
    for address in summary.removed:
        click.secho(f"  goes: {address}", fg="red")
    click.echo(f"While nobody calls, about {_idle_usd(environment):,.2f} USD a month; `omni cost` tells more.")
    if not yes:
        click.confirm("Do it?", abort=True)
    before = traffic.serving(cloud, wish.name, wish.region)
    try:
        terraform.apply()
    except CloudError as error:
        raise CliError(f"{error}\n{_given_back(cloud, wish, before)}") from None
    outputs = terraform.outputs()
    if smoke and not _works(cloud, outputs):
        raise CliError(f"It does not work. {_given_back(cloud, wish, before)}")
    return outputs


def _given_back(cloud: Gcloud, wish: Wish, before: traffic.Revisions) -> str:
    back = traffic.give_back(cloud, wish.region, before, traffic.serving(cloud, wish.name, wish.region))
    return f"The traffic is back where it was: {', '.join(back) or 'nothing had changed'}."


def _idle_usd(environment: str) -> float:
    load = cost.Load(0, 1, 0, 0, tokens_per_second=1, stream_tokens_per_second=1)
    lines = cost.bill(load, setup(environment), cost.read("prices.toml"), cost.read("operations.toml"))
    return sum(line.usd for line in lines)


def _works(cloud: Gcloud, outputs: Mapping[str, str]) -> bool:
    from cli import smoke
    from cli.client import Client

    key = cloud.run("secrets", "versions", "access", "latest", f"--secret={outputs['admin_key_secret']}").strip()
    with Client(outputs["address"], key.split(",")[0]) as client:
        return smoke.run(client, None, smoke.REPORTS) == 0


def _upstream_secrets(models: Path) -> tuple[str, ...]:
    """The secrets that the catalogue's other upstreams need."""
    from shared.catalogue import Catalogue

    targets = [target for model in Catalogue.load(models).models for target in model.upstreams]
    return tuple(sorted({target.api_key_secret for target in targets if target.api_key_secret}))
