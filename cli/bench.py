"""omni bench."""

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def command(name: str, arguments: tuple[str, ...]) -> None:
    """Measures this platform side by side with its peers, in one run, and prints the ratios.

    \b
    Example:
      omni bench gateway
    """
    from bench import main

    raise SystemExit(main.run(name, list(arguments)))
