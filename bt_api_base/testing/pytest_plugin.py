"""A pytest plugin with the test ground, for the authors of venue plugins.

It is found by pytest wherever this package is installed, and does nothing until it is asked for something:

* ``@pytest.mark.bt_api_no_leaks``: the asynchronous test fails if it leaves a task, a socket or a thread behind.
* ``bt_api_memory_streams``: a fixture that makes both ends of a connection in memory.
* ``bt_api_sweep_cancellation``: a fixture that cancels an operation at each of its suspensions.
* ``bt_api_simulated_venue``: a fixture with a simulated venue, running on loopback for the length of the test.
* ``planted_secret``: a fixture with fake credentials, which fails the test if they are logged, printed or warned about.
* ``bt_api_planted_secrets = all``, in the ini file: every test fails that logs, prints, warns about, or shows in the
  report of its failure what it has made a `Secret`; but for those with ``@pytest.mark.bt_api_secrets_may_show("why")``.

Asynchronous tests and fixtures run under anyio's own pytest plugin, on whichever event loop it is told.
"""

from __future__ import annotations

import functools
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from bt_api_base.testing.cancellation import CancellationSweep
    from bt_api_base.testing.planted_secret import PlantedSecret
    from bt_api_base.testing.simulated_venue import SimulatedVenue
    from bt_api_base.testing.streams import MemoryByteStream

# Everything is imported where it is used: pytest loads this module in projects that never use it.


_PLANTED: Final = pytest.StashKey["PlantedSecret"]()
"""What a test has planted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``bt_api_planted_secrets``."""
    parser.addini(
        "bt_api_planted_secrets",
        'which tests must not show secrets: those that have "asked" by the fixture planted_secret, or "all"',
        default="asked",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, and watch over secrets if all tests are to be watched."""
    config.addinivalue_line(
        "markers", "bt_api_no_leaks: fail the asynchronous test if it leaves a task, a socket or a thread behind"
    )
    config.addinivalue_line(
        "markers", "bt_api_secrets_may_show(why): do not look for the test's secrets in what it gives off"
    )
    watched = config.getini("bt_api_planted_secrets")
    if watched not in {"asked", "all"}:
        raise pytest.UsageError(f'bt_api_planted_secrets is "asked" or "all", not {watched!r}')
    if watched == "all":
        from bt_api_base.testing._secret_watch import SecretWatch

        watch = SecretWatch()
        watch.start()
        config.add_cleanup(watch.stop)
        config.pluginmanager.register(watch, "bt_api_secret_watch")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep planted secrets out of the report of a test that asked for some, and say if they were in its failure."""
    report = yield
    planted = item.stash.get(_PLANTED, None)
    if planted is not None and (report.failed or report.sections):
        from bt_api_base.testing._secret_watch import search_report

        search_report(report, planted.find, planted.masked)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a marked test inside `assert_no_leaks`.

    The assertion is put around the test's coroutine, and is no fixture, because between the parts of a fixture the
    event loop is stopped and started again, with sockets and tasks of its own.
    """
    function = pyfuncitem.obj
    if pyfuncitem.get_closest_marker("bt_api_no_leaks") and iscoroutinefunction(function):

        @functools.wraps(function)
        async def without_leaks(*args: object, **kwargs: object) -> None:
            from bt_api_base.testing.leaks import assert_no_leaks

            async with assert_no_leaks():
                await function(*args, **kwargs)

        pyfuncitem.obj = without_leaks
    return (yield)


@pytest.fixture
def bt_api_memory_streams() -> Callable[[], tuple[MemoryByteStream, MemoryByteStream]]:
    """Return `bt_api_base.testing.streams.memory_stream_pair`."""
    from bt_api_base.testing.streams import memory_stream_pair

    return memory_stream_pair


@pytest.fixture
def bt_api_sweep_cancellation() -> Callable[..., Awaitable[CancellationSweep]]:
    """Return `bt_api_base.testing.cancellation.sweep_cancellation`."""
    from bt_api_base.testing.cancellation import sweep_cancellation

    return sweep_cancellation


@pytest.fixture
async def bt_api_simulated_venue(anyio_backend: object) -> AsyncGenerator[SimulatedVenue]:  # noqa: ARG001  # names the loop
    """Run a simulated venue on loopback."""
    from bt_api_base.testing.simulated_venue import SimulatedVenue

    async with SimulatedVenue() as venue:
        yield venue


@pytest.fixture
def planted_secret(request: pytest.FixtureRequest) -> Generator[PlantedSecret]:
    """Plant fake credentials, and search all that was logged, printed and warned about when the test is over."""
    from bt_api_base.testing._planted_fixture import watched

    for planted in watched(request):
        request.node.stash[_PLANTED] = planted
        yield planted


__all__ = (
    "bt_api_memory_streams",
    "bt_api_simulated_venue",
    "bt_api_sweep_cancellation",
    "planted_secret",
    "pytest_addoption",
    "pytest_configure",
    "pytest_pyfunc_call",
    "pytest_runtest_makereport",
)
