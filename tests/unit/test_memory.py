from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pytest_distill._util.gc import collector_paused


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    """Leave the collector on."""
    yield
    gc.enable()


def test_collector_is_on_again_afterwards() -> None:
    """The collector is off inside of the block, and on again also after an error."""
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="odd"), collector_paused():
        raise ValueError("odd")
    assert gc.isenabled()


def test_collector_that_was_off_stays_off() -> None:
    """A run whose owner switched the collector off keeps it off, also where blocks are nested."""
    gc.disable()
    with collector_paused(), collector_paused():
        pass
    assert not gc.isenabled()
