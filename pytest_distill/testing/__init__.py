"""What a test of one's own engine asks: whether it keeps the port's contract.

Nothing heavy is imported here, and pytest is not needed.
"""

from __future__ import annotations

from pytest_distill.testing.contract import engine_contract
from pytest_distill.testing.results import ContractReport, Kept, Unchecked

__all__ = ["ContractReport", "Kept", "Unchecked", "engine_contract"]
