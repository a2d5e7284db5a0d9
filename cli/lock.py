"""omni lock."""

import click

from cli.errors import CliError


@click.command()
@click.option("--digests", is_flag=True, help="Pin the base images by their current digests instead.")
def command(digests: bool) -> None:  # noqa: FBT001
    """Writes the locked requirements anew from pyproject.toml, every file with its hashes.

    \b
    Examples:
      omni lock
      omni lock --digests
    """
    if digests:
        _pin()
        return
    from local import lock

    raise SystemExit(lock.run())


def _pin() -> None:
    import httpx

    from local.digests import NoDigest, digest, write

    with httpx.Client(follow_redirects=True, timeout=30) as client:
        try:
            pinned = write(lambda image: digest(client, image))
        except NoDigest as error:
            raise CliError(f"{error} Nothing was changed.") from None
    for image, told in pinned.items():
        click.echo(f"{image} {told}")
