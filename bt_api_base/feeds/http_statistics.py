"""What an HTTP client counts."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.feeds.http_call import PendingCall

__all__ = ("HttpCounters", "HttpStats", "Latency")

_REMEMBERED: Final = 1024


@attrs.frozen(kw_only=True)
class Latency:
    """How long answers took, seconds from sending to the last byte, over the newest thousand of them.

    Attributes:
        count: Answers that these numbers are of.
        p50: Half of them took no longer.
        p90: 90 % of them took no longer.
        p99: 99 % of them took no longer.
        max: The slowest of them.
    """

    count: int = 0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    max: float = 0.0


@attrs.frozen(kw_only=True)
class HttpStats:
    """What an HTTP client did so far.

    Attributes:
        calls: Calls that were begun.
        succeeded: Calls that returned a result.
        requests: Requests that were given to the transport; repetitions count.
        retries: Requests that repeat one whose answer was lost or said "later".
        resynchronizations: How often the venue's clock was asked for, after it had refused a time stamp.
        unknown_orders: Calls that left an order of unknown fate.
        errors: Calls that raised, by the name of the exception's class; ``"Cancelled"`` for cancelled ones.
        statuses: Answers, by HTTP status.
        bytes_sent: Methods, paths, queries and bodies, without headers and signatures.
        bytes_received: Bodies, decompressed.
        permits_waited: How often the rate limiter let a request wait.
        permit_seconds: How long they waited together.
        in_flight: Calls that are on their way now.
        latency: How long answers took.
    """

    calls: int = 0
    succeeded: int = 0
    requests: int = 0
    retries: int = 0
    resynchronizations: int = 0
    unknown_orders: int = 0
    errors: Mapping[str, int] = attrs.field(factory=dict[str, int])
    statuses: Mapping[int, int] = attrs.field(factory=dict[int, int])
    bytes_sent: int = 0
    bytes_received: int = 0
    permits_waited: int = 0
    permit_seconds: float = 0.0
    in_flight: int = 0
    latency: Latency = attrs.field(factory=Latency)


class HttpCounters:
    """The counters behind `HttpStats`."""

    def __init__(self) -> None:
        self.calls = 0
        self.succeeded = 0
        self.requests = 0
        self.retries = 0
        self.resynchronizations = 0
        self.unknown_orders = 0
        self.errors: Counter[str] = Counter()
        self.statuses: dict[int, int] = {}
        self.bytes_sent = 0
        self.bytes_received = 0
        self.permits_waited = 0
        self.permit_seconds = 0.0
        self.in_flight = 0
        self._latencies: deque[float] = deque(maxlen=_REMEMBERED)

    def sent(self, call: PendingCall) -> None:
        """Count a request."""
        self.requests += 1
        self.bytes_sent += len(call.method) + len(call.url) - len(call.plain_url) + len(call.info.path) + 1
        if call.content is not None:
            self.bytes_sent += len(call.content)

    def answered(self, status: int, size_bytes: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.bytes_received += size_bytes
        self._latencies.append(seconds)

    def snapshot(self) -> HttpStats:
        """Return what was counted so far."""
        return HttpStats(
            calls=self.calls,
            succeeded=self.succeeded,
            requests=self.requests,
            retries=self.retries,
            resynchronizations=self.resynchronizations,
            unknown_orders=self.unknown_orders,
            errors=dict(self.errors),
            statuses=dict(self.statuses),
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            permits_waited=self.permits_waited,
            permit_seconds=self.permit_seconds,
            in_flight=self.in_flight,
            latency=self._latency(),
        )

    def _latency(self) -> Latency:
        ordered = sorted(self._latencies)
        count = len(ordered)
        if not count:
            return Latency()

        def percentile(share: float) -> float:
            return ordered[math.ceil(share * count) - 1]

        return Latency(count=count, p50=percentile(0.5), p90=percentile(0.9), p99=percentile(0.99), max=ordered[-1])
