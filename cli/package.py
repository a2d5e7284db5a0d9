"""omni package."""

from pathlib import Path

import click

from cli.errors import CliError
from cli.places import CHECKOUT, named_by_caller

ARCHIVE = CHECKOUT / ".omni" / "dist" / "functions.zip"


@click.command()
@click.option("--models", metavar="FILE", help="The model catalogue to pack. Default: models.toml.")
@click.option("--to", metavar="FILE", help="Where to write it. Default: .omni/dist/functions.zip.")
def command(models: str | None, to: str | None) -> None:
    """Packs the Cloud Functions into the one archive that Terraform deploys; the same code gives the same bytes.

    \b
    Example:
      omni package --models my-models.toml
    """
    from local import package

    archive = named_by_caller(to) if to else ARCHIVE
    digest = package.write(archive, catalogue(models))
    click.echo(f"{archive}: {archive.stat().st_size / 1024:,.0f} KiB, SHA-256 {digest}")


def catalogue(models: str | None) -> Path:
    """The file of the catalogue; CliError when it could not be used by the functions either."""
    from shared.catalogue import Catalogue, CatalogueError

    file = named_by_caller(models) if models else CHECKOUT / "models.toml"
    try:
        Catalogue.load(file)
    except CatalogueError as error:
        raise CliError(f"{error}.") from None
    return file
