"""omni test."""

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]...")
def command(arguments: tuple[str, ...]) -> None:
    """Runs every test that this machine can run: style, types, import rules and pytest.

    \b
    Examples:
      omni test
      omni test tests/cli -k chat
    """
    from local import check

    raise SystemExit(check.run(list(arguments)))
