"""omni sbom."""

import click

from cli.places import CHECKOUT, named_by_caller

DEFAULT = CHECKOUT / ".omni" / "dist" / "sbom.json"


@click.command()
@click.option("--to", metavar="FILE", help="Where to write it. Default: .omni/dist/sbom.json.")
def command(to: str | None) -> None:
    """Lists every package that runs in production, with its hashes, as a CycloneDX bill of materials.

    \b
    Example:
      omni sbom --to sbom.json
    """
    from local.sbom import write

    file = named_by_caller(to) if to else DEFAULT
    click.echo(f"{file}: {write(file)} packages")
