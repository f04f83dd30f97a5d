"""The seed of a run: printed at its top, and taken from `INTEROP_SEED` to repeat one."""

from __future__ import annotations

import os
import random

import pytest

SEED = os.environ.get("INTEROP_SEED") or str(random.SystemRandom().randrange(2**32))


def pytest_report_header() -> str:
    return f"interop: INTEROP_SEED={SEED}"


@pytest.fixture(scope="module")
def seed() -> str:
    return SEED
