"""omni deploy."""

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


@click.command()
@click.option("--project", required=True, metavar="ID", help="The Google Cloud project.")
@click.option("--region", default="europe-west4", show_default=True, help="Where everything runs.")
@click.option("--env", "environment", type=click.Choice(["dev", "prod"]), default="dev", show_default=True)
@click.option("--image", metavar="IMAGE", help="The worker's image. Without it there is no worker yet.")
@click.option("--model", metavar="ID", help="The model the worker serves, by its id in models.toml.")
@click.option("--weights", default="", metavar="PATH", help="Where its weights are in the weights' bucket.")
@click.option("--models", metavar="FILE", help="The model catalogue. Default: models.toml.")
@click.option("--var-file", "files", multiple=True, metavar="FILE", help="More of Terraform's variables.")
@click.option("--yes", is_flag=True, help="Do not ask before it is done.")
@click.option("--check", is_flag=True, help="Look at the project and make nothing.")
@click.option("--smoke", is_flag=True, help="Try it out afterwards, and give the traffic back if it does not work.")
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
    """Puts the platform on Google Cloud: looks at the project, plans, tells the price, asks, and does it.

    \b
    Examples:
      omni deploy --project my-project --check
      omni deploy --project my-project
      omni deploy --project my-project --env prod --image REPOSITORY/ml-worker:1 --model my-model --weights my-model
    """
    given: dict[str, object] = {"project": project, "region": region}
    if image:
        if not model:
            raise CliError("A worker needs a model: name it with --model, as models.toml does.")
        given["worker"] = {"image": image, "model": model, "weights": weights}
    secrets = _upstream_secrets(catalogue(models))
    if secrets:
        given["upstream_secrets"] = list(secrets)
    wish = Wish(project, region, NAME, "nvidia-l4" if image else "", secrets=secrets)
    chosen = [CHECKOUT / "terraform" / "envs" / f"{environment}.tfvars", *(named_by_caller(each) for each in files)]
    try:
        cloud = Gcloud(project)
        look(wish, cloud)
        if check:
            return
        before = traffic.serving(cloud, NAME, region)
        outputs = _deploy(cloud, wish, catalogue(models), chosen, given, environment, yes=yes)
        if smoke and not _works(cloud, outputs):
            back = traffic.give_back(cloud, region, before, traffic.serving(cloud, NAME, region))
            raise CliError(
                f"It does not work. The traffic is back where it was: {', '.join(back) or 'nothing changed'}."
            )
    except CloudError as error:
        raise CliError(str(error)) from None


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
) -> dict[str, str]:
    from local import package

    package.write(ARCHIVE, models)
    terraform = provision.Terraform()
    terraform.begin(provision.state_bucket(cloud, wish.name, wish.region))
    summary = terraform.plan(files, given)
    click.echo(f"Terraform: {summary.text}.")
    for address in summary.removed:
        click.secho(f"  goes: {address}", fg="red")
    click.echo(f"While nobody calls, about {_idle_usd(environment):,.2f} USD a month; `omni cost` tells more.")
    if not yes:
        click.confirm("Do it?", abort=True)
    terraform.apply()
    outputs = terraform.outputs()
    click.echo(f"Address: {outputs['address']}")
    reading = f"gcloud secrets versions access latest --secret={outputs['admin_key_secret']} --project={wish.project}"
    click.echo(f"First key: {reading}")
    return outputs


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
