"""One router and one provider for all recorded exchanges."""

import exchanges
import pytest
from nexus import Nexus, configuration
from replay import Provider

# The models that requests of other dialects are sent to.
STAND_INS = ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "anthropic.claude-sonnet-4-5-20250929-v1:0")


@pytest.fixture(scope="session")
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def nexus(provider, tmp_path_factory):
    models = {exchange.model for exchange in exchanges.load()} | set(STAND_INS)
    with Nexus(tmp_path_factory.mktemp("nexus"), configuration(provider.port, models)) as nexus:
        yield nexus
