"""omni bench."""

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def command(name: str, arguments: tuple[str, ...]) -> None:
    """Measures this platform and prints its figures; some benches run its peers in the same rounds.

    NAME is batch, budget, gateway, jobs, limits, start, stream or worker. 'omni bench NAME --help' shows its options.
    docs/benchmarks.md explains the method.

    \b
    Examples:
      omni bench gateway
      omni bench gateway --quick
    """
    from bench import main

    raise SystemExit(main.run(name, list(arguments)))
