"""A conformance suite for stream adapters, which the author of a venue's plugin runs with one line.

Example:
    ```python
    def test_adapter() -> None:
        check_stream_adapter(MyAdapter, channels=[("ticker", "BTC-USDT")], frames=[b'{"ticker":…}'])
    ```

or, to see every rule as a test of its own:

    ```python
    test_adapter = stream_adapter_test(MyAdapter, channels=[("ticker", "BTC-USDT")], frames=[b'{"ticker":…}'])
    ```

Rules are numbered, and a number stays what it is. What is random follows from a seed, which is in every report.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import attrs

from bt_api_base.testing import conformance_control, conformance_decoding, conformance_junk, conformance_naming
from bt_api_base.testing.conformance_rules import (
    Bench,
    ChannelExample,
    ConformanceError,
    Examples,
    Frame,
    Rule,
    check_rule,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from typing_extensions import TypedDict, Unpack

    from bt_api_base.security import Credentials
    from bt_api_base.testing.conformance_rules import Finding
    from bt_api_base.websocket.adapter import StreamAdapter

    class _ExampleOptions(TypedDict, total=False):
        """What an adapter is tried out on; see `check_stream_adapter`."""

        frames: Iterable[Frame]
        acks: Iterable[Frame]
        refusals: Iterable[Frame]
        heartbeats: Iterable[Frame]
        notices: Iterable[Frame]
        bad_symbols: Iterable[str]
        credentials: Credentials | None
        seed: int | None
        mutations: int
        exceptions: Mapping[int, str] | None


RULES: Final[Mapping[int, Rule]] = {
    rule.number: rule
    for module in (conformance_naming, conformance_decoding, conformance_junk, conformance_control)
    for rule in module.RULES
}
"""All rules, by their numbers."""


@attrs.frozen(eq=False)
class ConformanceCase:
    """One rule and one adapter.

    Attributes:
        rule: The rule.
        bench: The adapter's factory and examples.
    """

    rule: Rule
    bench: Bench = attrs.field(repr=False)

    def __str__(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", self.rule.title.lower()).strip("-")
        return f"rule-{self.rule.number:02}-{words}"

    def findings(self) -> list[Finding]:
        """Return what breaks the rule."""
        with self.bench.planting():
            return check_rule(self.rule, self.bench)

    def check(self) -> None:
        """Hold the adapter to the rule.

        Raises:
            ConformanceError: It breaks it.
        """
        _report(self.bench, [self])


def conformance_cases(
    adapter_factory: Callable[[], StreamAdapter],
    *,
    channels: Iterable[ChannelExample | tuple[Any, ...]],
    **examples: Unpack[_ExampleOptions],
) -> tuple[ConformanceCase, ...]:
    """Return a case for each rule, say to parametrize a test with.

    Args:
        adapter_factory: As for `check_stream_adapter`.
        channels: The same.
        **examples: The same.
    """
    options: dict[str, Any] = dict(examples)
    excepted = dict(options.pop("exceptions", None) or {})
    unknown = excepted.keys() - RULES.keys()
    if unknown:
        raise ValueError(f"there is no rule {min(unknown)}; there are {', '.join(map(str, RULES))}")
    seed = options.pop("seed", None)
    credentials = options.pop("credentials", None)
    mutations = options.pop("mutations", 3_000)
    bench = Bench(
        adapter_factory,
        Examples(
            channels=tuple(map(_channel_example, channels)),
            seed=secrets.randbelow(1 << 32) if seed is None else seed,
            credentials=credentials,
            mutations=mutations,
            **{name: tuple(values) for name, values in options.items()},
        ),
    )
    return tuple(ConformanceCase(rule, bench) for number, rule in RULES.items() if number not in excepted)


def check_stream_adapter(
    adapter_factory: Callable[[], StreamAdapter],
    *,
    channels: Iterable[ChannelExample | tuple[Any, ...]],
    **examples: Unpack[_ExampleOptions],
) -> None:
    """Hold a stream adapter to all rules.

    Args:
        adapter_factory: The adapter's class, or whatever makes a new adapter.
        channels: What there is to subscribe to: ``(topic, symbol)``, ``(topic, symbol, params)``, or a `ChannelExample`
            with frames of its own. One of each kind is enough.
        **examples: Frames as the venue sends them. ``frames``: data, of all the channels, in order. ``acks``,
            ``refusals``, ``heartbeats``, ``notices``: what these look like. ``bad_symbols``: symbols to be refused.
            ``credentials``: what to sign with, where it cannot be any HMAC key. ``seed``: what is random follows from
            it; by default another one each time. ``mutations``: damaged frames to try, for each rule about them.
            ``exceptions``: numbers of rules that do not hold for this venue, with the reasons.

    Raises:
        ConformanceError: It breaks rules. The text lists each by its number, with where, what, and what to do.
        ValueError: There is no rule of a number.
    """
    cases = conformance_cases(adapter_factory, channels=channels, **examples)
    _report(cases[0].bench, cases)


def stream_adapter_test(
    adapter_factory: Callable[[], StreamAdapter],
    *,
    channels: Iterable[ChannelExample | tuple[Any, ...]],
    **examples: Unpack[_ExampleOptions],
) -> Callable[..., None]:
    """Return a test function for pytest with a case for each rule; give it a name that begins with ``test``.

    Args:
        adapter_factory: As for `check_stream_adapter`.
        channels: The same.
        **examples: The same.
    """
    import pytest

    cases = conformance_cases(adapter_factory, channels=channels, **examples)

    @pytest.mark.parametrize("conformance_case", cases, ids=str)
    def test_stream_adapter(conformance_case: ConformanceCase) -> None:
        """The adapter keeps a rule."""
        conformance_case.check()

    return test_stream_adapter


def _report(bench: Bench, cases: Sequence[ConformanceCase]) -> None:
    with bench.planting():
        failures = {case.rule: found for case in cases if (found := check_rule(case.rule, bench))}
    if failures:
        name = getattr(bench.factory, "__name__", None) or type(bench.factory()).__name__
        raise ConformanceError(str(name), bench.examples.seed, failures, len(cases))


def _channel_example(example: ChannelExample | tuple[Any, ...]) -> ChannelExample:
    return example if isinstance(example, ChannelExample) else ChannelExample(*example)


__all__ = (
    "RULES",
    "ChannelExample",
    "ConformanceCase",
    "ConformanceError",
    "Rule",
    "check_stream_adapter",
    "conformance_cases",
    "stream_adapter_test",
)
