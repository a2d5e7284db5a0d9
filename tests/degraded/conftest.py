import pytest


@pytest.fixture
def outage_s(request: pytest.FixtureRequest) -> float:
    """How long an outage lasts once it has been noticed."""
    return float(request.config.getoption("--outage-s"))
