"""The three event loops under every async test, and virtual time for those that ask for it.

An async test runs on asyncio (debug mode), asyncio with uvloop, and trio. With ``@pytest.mark.virtual_time`` it runs on
asyncio and trio with a clock that jumps instead of waiting (uvloop's cannot). ``--backend`` picks one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from bt_api_base import _redaction
from bt_api_base.security import secret
from bt_api_base.testing import binance_private_dialect, okx_dialect  # noqa: F401 - their keys are known from now on
from bt_api_base.testing.clock import VIRTUAL_BACKENDS, virtual_backend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REAL_BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {"debug": True}),
    "asyncio+uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}

# A property test is about properties: how long one example takes depends on what else the machine is doing.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--backend``."""
    parser.addoption(
        "--backend",
        action="append",
        choices=tuple(REAL_BACKENDS),
        help="run the async tests on this event loop only (may be repeated; default: all three)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize each async test over its event loops."""
    if "anyio_backend" not in metafunc.fixturenames:
        return
    names: Sequence[str] = metafunc.config.getoption("--backend") or tuple(REAL_BACKENDS)
    marker = metafunc.definition.get_closest_marker("virtual_time")
    if marker is None:
        parameters = [pytest.param((name, None), id=name) for name in names]
    else:
        threshold = marker.kwargs.get("autojump_threshold", 0.0)
        parameters = [
            pytest.param((name, threshold), id=f"{name}+virtual") for name in VIRTUAL_BACKENDS if name in names
        ]
    metafunc.parametrize("anyio_backend", parameters, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The event loop of this test, with a fresh clock where its time is virtual."""
    name, autojump_threshold = request.param
    if autojump_threshold is None:
        return REAL_BACKENDS[name]
    return virtual_backend(name, autojump_threshold=autojump_threshold)


@pytest.fixture(autouse=True)
def _only_its_own_secrets() -> Iterator[None]:
    """Forget the secrets of a test with its end: all of them would be looked for in whatever the others log."""
    known, masked = _redaction._known, secret._masked
    before = set(known._patterns), set(masked)
    yield
    for value in set(masked) - before[1]:
        del masked[value]
    for value in set(known._patterns) - before[0]:
        known.remove(value)
