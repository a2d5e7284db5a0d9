"""omni destroy."""

import click

from cli.deploy import NAME, variable_files
from cli.errors import CliError
from cli.package import ARCHIVE, catalogue
from deploy import preflight, provision
from deploy.google import CloudError, Gcloud


@click.command()
@click.option("--project", required=True, metavar="ID", help="The Google Cloud project.")
@click.option("--region", default="europe-west4", show_default=True, help="Region of all resources.")
@click.option("--env", "environment", type=click.Choice(["dev", "prod"]), default="dev", show_default=True)
@click.option(
    "--var-file", "files", multiple=True, metavar="FILE", help="File of Terraform variables that it was deployed with."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def command(project: str, region: str, environment: str, files: tuple[str, ...], yes: bool) -> None:  # noqa: FBT001
    """Removes the platform and its data. First lift the deletion protection of prod (docs/05-operate.md).

    \b
    Example:
      omni destroy --project my-project
    """
    from local import package

    chosen = variable_files(environment, files)
    cloud = Gcloud(project)
    try:
        if missing := preflight.reach(project, cloud):
            raise CliError(missing)
        if not provision.has_state(cloud, NAME):
            raise CliError(
                f"Nothing was ever deployed from here to '{project}': it has no bucket for Terraform's state."
            )
        package.write(ARCHIVE, catalogue(None))  # the configuration cannot be read without one
        terraform = provision.Terraform()
        terraform.begin(provision.state_bucket(cloud, NAME))
        summary = terraform.plan(chosen, {"project": project, "region": region}, destroy=True)
        click.echo(f"Terraform: {summary.text}.")
        if not yes and click.prompt("Everything goes, keys, jobs and files too. The project's id, to do it") != project:
            raise CliError("That is not the project's id; nothing was removed.")
        terraform.apply()
    except CloudError as error:
        raise CliError(str(error)) from None
    click.echo(f"It is gone. The bucket gs://{provision.state_bucket(cloud, NAME)} stays: it tells what there was.")
