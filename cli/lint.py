"""omni lint."""

import click


@click.command()
def command() -> None:
    """Checks format, style, types and import rules, and runs no test.

    \b
    Example:
      omni lint
    """
    from local import check

    raise SystemExit(check.lint())
