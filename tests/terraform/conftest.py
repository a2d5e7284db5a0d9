"""One initialised copy of the configuration, and the two plans that most tests look at."""

from collections.abc import Iterator

import pytest

from tests.terraform import program
from tests.terraform.program import WHOLE, Plan, Terraform


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    with program.terraform(tmp_path_factory.mktemp("terraform")) as initialised:
        yield initialised


@pytest.fixture(scope="session")
def smallest(terraform: Terraform) -> Plan:
    """envs/dev.tfvars and a project: what a stranger begins with."""
    return terraform.plan("dev", {})


@pytest.fixture(scope="session")
def whole(terraform: Terraform) -> Plan:
    """envs/prod.tfvars with every option."""
    return terraform.plan("prod", WHOLE)


@pytest.fixture(params=["smallest", "whole"])
def plan(request: pytest.FixtureRequest) -> Plan:
    planned: Plan = request.getfixturevalue(request.param)
    return planned
