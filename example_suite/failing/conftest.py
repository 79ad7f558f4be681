"""Makes the models when the first gate needs them; what is there already is kept."""

import pytest
from make_models import ensure_models


@pytest.fixture(scope="session", autouse=True)
def _models(pytestconfig: pytest.Config) -> None:
    """Unpack and cut the models on first use, with progress on the terminal."""
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        ensure_models()
