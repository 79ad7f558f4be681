"""Makes the models when the first gate needs them; what is there already is kept."""

import pytest
from train import ensure_models


@pytest.fixture(scope="session", autouse=True)
def _models(pytestconfig: pytest.Config) -> None:
    """Train on first use, with progress on the terminal although pytest captures output."""
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        ensure_models()
