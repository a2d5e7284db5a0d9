"""omni lock."""

import click


@click.command()
def command() -> None:
    """Writes the locked requirements anew from pyproject.toml, every file with its hashes.

    \b
    Example:
      omni lock
    """
    from local import lock

    raise SystemExit(lock.run())
