"""Where every test is watched, none that lets a secret show passes, and no report shows one."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from bt_api_base.logging_factory import sinks
from bt_api_base.security import Secret
from bt_api_base.testing._needles import Needles
from bt_api_base.testing._secret_watch import SecretWatch

pytestmark = pytest.mark.bt_api_secrets_may_show("it tests tests that leak")

VALUE = "correct horse battery staple"

HEAD = f"""
import base64, logging, sys, warnings
import anyio, pytest
from bt_api_base.exceptions import BtApiError
from bt_api_base.logging_factory import configure_logging, get_logger
from bt_api_base.security import Credentials, Secret
from bt_api_base.websocket_manager import WebSocketManager

VALUE = " ".join({VALUE.split()!r})

@pytest.fixture
def printing():
    print(Secret(VALUE).reveal())

@pytest.fixture
def printing_late():
    yield Secret(VALUE)
    print(VALUE)

def shown(secret):
    return secret.reveal()

async def held(value):
    async with WebSocketManager() as manager:
        manager.credentials, manager.other = Credentials("key", value), [value]
"""

LEAKS = {
    "print": ("", "print(Secret(VALUE).reveal())"),
    "encoded": ("", "Secret(VALUE); print(base64.b64encode(b'a' + VALUE.encode()))"),
    "before": ("", "print(VALUE); Secret(VALUE)"),
    "part of credentials": ("", "sys.stderr.write(Credentials('key', VALUE).secret.reveal())"),
    "log": ("", "logging.getLogger('any').warning('with %s', Secret(VALUE).reveal())"),
    "log argument": ("", "logging.getLogger('any').error('with', extra={'key': Secret(VALUE).reveal()})"),
    "captured log": (
        "caplog",
        "caplog.set_level('DEBUG'); Secret(VALUE); logging.getLogger('a').debug(VALUE); caplog.clear()",
    ),
    "warning": ("", "warnings.warn(Secret(VALUE).reveal())"),
    "read by the test": ("capsys", "print(Secret(VALUE).reveal()); assert capsys.readouterr().out"),
    "read as bytes": ("capfdbinary", "print(Secret(VALUE).reveal()); assert capfdbinary.readouterr().out"),
    "set-up": ("printing", "pass"),
    "tear-down": ("printing_late", "pass"),
    "exception": ("", "raise ValueError(shown(Secret(VALUE)))"),
    "assertion": ("", "assert 'short' == shown(Secret(VALUE))"),
    "expected exception": (
        "",
        (
            "with pytest.raises(BtApiError):\n"
            "        error = BtApiError(); error.more = shown(Secret(VALUE)); raise BtApiError from error"
        ),
    ),
    "held by a manager": ("", "anyio.run(held, VALUE)"),
    "cause": ("", "try:\n        raise KeyError(shown(Secret(VALUE)))\n    finally:\n        raise ValueError"),
}

HARMLESS = {
    "nothing": ("", "pass"),
    "no secret": ("", "print(VALUE)"),
    "hidden": ("", "print(Secret(VALUE), Credentials('key', VALUE))"),
    "masked": ("capsys", "Secret(VALUE); get_logger('any').error(VALUE); assert '***' in capsys.readouterr().err"),
    "expected of others": ("", "with pytest.raises(ValueError):\n        raise ValueError(shown(Secret(VALUE)))"),
    "held as a secret": ("", "Secret(VALUE); anyio.run(held, 'password')"),
    "short": ("", "print(Secret('password').reveal())"),
    "by chance": ("", "print(Secret('000000000000').reveal())"),
    "another test's": ("", "print(VALUE)"),
}


def run(pytester: pytest.Pytester, tests: dict[str, tuple[str, str]], *options: str, ini: str = "all") -> Any:
    """Run tests in a project of their own."""
    pytester.makeini(f"[pytest]\nfilterwarnings = default\nbt_api_planted_secrets = {ini}")
    pytester.makepyfile(
        HEAD
        + "".join(
            f"\ndef test_{number}({arguments}):\n    {body}\n"
            for number, (arguments, body) in enumerate(tests.values())
        )
    )
    return pytester.runpytest_inprocess(
        "--disable-plugin-autoload", "-p", "anyio", "-p", "bt_api", "-p", "no:cacheprovider", *options
    )


@pytest.mark.parametrize("leak", LEAKS)
def test_fails_a_test_that_leaks(pytester: pytest.Pytester, leak: str) -> None:
    """Whichever way, and though the test has asked for nothing; and the report does not show it either."""
    result = run(pytester, {leak: LEAKS[leak]})
    outcomes = result.parseoutcomes()
    assert 1 <= outcomes.get("failed", 0) + outcomes.get("errors", 0)
    text = result.stdout.str()
    assert re.search(r"^a secret shows: (plain|Base64) in ", text, re.MULTILINE)
    if leak != "warning":  # pytest's list of them is of the whole run
        assert VALUE not in text


@pytest.mark.parametrize("harmless", HARMLESS)
def test_passes_any_other(pytester: pytest.Pytester, harmless: str) -> None:
    """Nothing shows where a secret is masked, where there is none, and where it is none that can be told."""
    run(pytester, {harmless: HARMLESS[harmless]}).assert_outcomes(passed=1)


def test_knows_the_secrets_of_the_module(pytester: pytest.Pytester) -> None:
    """Those that are made before any test begins must show in none; those of a test, in no other."""
    body = "print(VALUE)"
    result = run(pytester, {"first": ("", "Secret(VALUE)"), "second": ("", body)})
    result.assert_outcomes(passed=2)
    result = run(pytester, {"first": ("", "pass\n\nMADE = Secret(VALUE)"), "second": ("", body)})
    result.assert_outcomes(passed=1, failed=1)


def test_a_failure_is_still_told(pytester: pytest.Pytester) -> None:
    """What failed, and what shows, are both in the report."""
    result = run(pytester, {"one": ("", "print(Secret(VALUE).reveal()); raise KeyError('what failed')")})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*KeyError: 'what failed'", "a secret shows: plain in 'Captured stdout call'", "*[*][*][*]"]
    )


def test_lets_a_marked_test_show(pytester: pytest.Pytester) -> None:
    """A test may say that it is about showing."""
    marked = "@pytest.mark.bt_api_secrets_may_show('it prints')\ndef test_marked():\n    print(Secret(VALUE).reveal())"
    run(pytester, {"before it": ("", f"pass\n\n{marked}")}, "--strict-markers").assert_outcomes(passed=2)


def test_is_off_unless_asked_for(pytester: pytest.Pytester) -> None:
    """The default is to watch the tests that have asked for planted secrets; another word is an error."""
    run(pytester, {"print": LEAKS["print"]}, ini="asked").assert_outcomes(passed=1)
    assert pytest.ExitCode.USAGE_ERROR == run(pytester, {"print": LEAKS["print"]}, ini="some").ret


def test_a_planted_secret_is_kept_out_of_reports(pytester: pytest.Pytester) -> None:
    """Also where only those who asked are watched: the exception of a test that fails shows no planted value."""
    body = "pytest.importorskip('sys'); value = planted_secret.value; print(value); raise ValueError('it was ' + value)"
    result = run(pytester, {"one": ("planted_secret", body)}, ini="asked")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ValueError: it was [*][*][*]", "a secret shows: value (plain) in what pytest shows*"]
    )
    assert not re.search(r"\bk[0-9a-fA-F]{39}\b", result.stdout.str())


def test_leaves_everything_as_it_was() -> None:
    """What was put in place of something else is gone afterwards."""
    before = Secret.__init__, pytest.CaptureFixture.readouterr, sinks._give
    watch = SecretWatch()
    watch.start()
    assert before != (Secret.__init__, pytest.CaptureFixture.readouterr, sinks._give)
    watch.stop()
    assert before == (Secret.__init__, pytest.CaptureFixture.readouterr, sinks._give)


def test_costs_next_to_nothing() -> None:
    """A test without secrets is held up for far less than a millisecond."""
    watch = SecretWatch()
    began = time.perf_counter()
    for _ in range(1_000):
        around = watch.pytest_runtest_protocol()
        next(around)
        with pytest.raises(StopIteration):
            next(around)
    assert (time.perf_counter() - began) / 1_000 < 0.001


@pytest.mark.parametrize("value", ["correct horse battery", "a/b+c=d&e?f%g h i", "übergröseträger-á"])
def test_finds_any_part_of_a_planted_value(value: str) -> None:
    """Every fragment of twelve characters is found, wherever it was cut; none of eleven."""
    needles = Needles(value)
    for start in range(len(value) - 11):
        assert needles.find(f"...{value[start : start + 12]}...".casefold())
        assert not needles.find(f"...{value[start : start + 11]}...".casefold())
    assert value not in needles.masked(f"a {value} b")
    assert not Needles(value, fragments=False).find(value[:-1].casefold())
