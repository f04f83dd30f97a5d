"""The deployed template with both functions, once for all tests of a process here. `make test` builds what they need and runs them,
in two processes: for most of the time they wait."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "local"))

import stack  # noqa: E402
from processes import stop  # noqa: E402
from system import System, Watch  # noqa: E402


@pytest.fixture(scope="session")
def deployed():
    """The stack as deployed, with the renewer's first run done."""
    name = f"tests{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    description = stack.up(name)
    system = System(description)
    system.first_report = system.renew()
    yield system
    stack.down(name)


@pytest.fixture
def system(deployed):
    """The same, with nothing out of order and nothing left from the test before."""
    deployed.repair()
    for queue in ("alerts", "tests", "events"):
        while deployed.receive(queue):
            pass
    yield deployed
    deployed.repair()


@pytest.fixture
def watch(system):
    """Gathers what arrives during the test."""
    with Watch(system) as watching:
        yield watching


@pytest.fixture
def started(request):
    """A machine room of the test file's own, in which nothing is deployed yet."""
    name = request.module.__name__.removeprefix("test_")
    with stack.started(name) as description:
        yield description
    for process in reversed(description["processes"]):
        stop(process)
    stack.down(name)
