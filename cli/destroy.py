"""omni destroy."""

import click

from cli.deploy import NAME
from cli.errors import CliError
from cli.places import CHECKOUT, named_by_caller
from deploy import provision
from deploy.google import CloudError, Gcloud


@click.command()
@click.option("--project", required=True, metavar="ID", help="The Google Cloud project.")
@click.option("--region", default="europe-west4", show_default=True, help="Where it runs.")
@click.option("--env", "environment", type=click.Choice(["dev", "prod"]), default="dev", show_default=True)
@click.option("--var-file", "files", multiple=True, metavar="FILE", help="Terraform's variables it was deployed with.")
@click.option("--yes", is_flag=True, help="Do not ask for the project's id first.")
def command(project: str, region: str, environment: str, files: tuple[str, ...], yes: bool) -> None:  # noqa: FBT001
    """Takes the platform down, its data too. What prod protects has to be let go first (docs/05-operate.md).

    \b
    Example:
      omni destroy --project my-project
    """
    chosen = [CHECKOUT / "terraform" / "envs" / f"{environment}.tfvars", *(named_by_caller(each) for each in files)]
    try:
        terraform = provision.Terraform()
        terraform.begin(provision.state_bucket(Gcloud(project), NAME, region))
        summary = terraform.plan(chosen, {"project": project, "region": region}, destroy=True)
        click.echo(f"Terraform: {summary.text}.")
        if not yes and click.prompt("Everything goes, keys, jobs and files too. The project's id, to do it") != project:
            raise CliError("That is not the project's id; nothing was removed.")
        terraform.apply()
    except CloudError as error:
        raise CliError(str(error)) from None
