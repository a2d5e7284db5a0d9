"""omni test."""

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--vllm", is_flag=True, help="Instead: install real vLLM for this processor and run what needs it.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]...")
def command(arguments: tuple[str, ...], *, vllm: bool) -> None:
    """Runs every test that this machine can run: style, types, import rules and pytest.

    \b
    Examples:
      omni test
      omni test tests/cli -k chat
      omni test --cov
      omni test --vllm
    """
    if vllm:
        from local import vllm as real_vllm

        raise SystemExit(real_vllm.run(arguments))
    from local import check

    raise SystemExit(check.run(list(arguments)))
