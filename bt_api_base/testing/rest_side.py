"""The REST side of a simulated venue: what it was asked, and everything that can go wrong with it, as one object.

Requests come over sockets (`bt_api_base.testing.rest_server`) or in memory (`bt_api_base.testing.rest_transport`), and
meet the same faults and the same dialect.
"""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base.testing.rest_faults import Match, RequestFate, RestFaults
from bt_api_base.testing.rest_log import RestEnding, RestLog
from bt_api_base.testing.rest_messages import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from bt_api_base.testing.rest_messages import RestDialect, RestRequest
    from bt_api_base.testing.rest_server import RestServer
    from bt_api_base.testing.rest_transport import MemoryExchange, RestTransport


@attrs.define(eq=False)
class _Flight:
    """A request in memory that is being answered."""

    exchange: MemoryExchange
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)


class RestSide:
    """What a test does to a venue's REST side, and sees of it.

    Args:
        dialect: Makes what answers requests; called with the first one.
        clock_ns: The venue's clock.
        host: Address to listen at.
        port: Port to listen at; 0 lets the system choose.
        listen: Whether to listen at all; without it, requests come in memory only.
    """

    def __init__(
        self,
        dialect: Callable[[], RestDialect],
        clock_ns: Callable[[], int],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        listen: bool = True,
    ) -> None:
        self.log = RestLog()
        """What was asked."""
        self.faults = RestFaults()
        """What is armed; the methods here arm it."""
        self._make_dialect = dialect
        self._dialect: RestDialect | None = None
        self._clock_ns = clock_ns
        self._skew_ns = 0
        self._limited_until = -math.inf
        self._is_ban = False
        self._host, self._port, self._listen = host, port, listen
        self._tasks: TaskGroup | None = None
        self._server: RestServer | None = None
        self._refusal: int | None = None
        self._refusals = count(1)
        self._flights: dict[_Flight, None] = {}

    # Where it is.

    @property
    def url(self) -> str:
        """Base URL, for example ``http://127.0.0.1:port``; it listens from when this is first asked for.

        Where it does not listen at all, a URL that leads nowhere, for clients with `transport`.

        Raises:
            RuntimeError: The venue is not running.
        """
        if not self._listen:
            return "http://simulated.invalid"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._open_server().port}"

    def transport(self) -> RestTransport:
        """Return a transport for `httpx.AsyncClient` that asks in memory."""
        from bt_api_base.testing.rest_transport import RestTransport

        return RestTransport(self._fly)

    def _open_server(self) -> RestServer:
        if self._tasks is None:
            raise RuntimeError("the venue is not running: use it in an async with block")
        if self._server is None:
            from bt_api_base.testing.rest_server import RestServer

            self._server = RestServer(self.handle, self._tasks, host=self._host, port=self._port)
            if self._refusal is None:
                self._server.listen()
            else:
                self._server.reserve()
        return self._server

    # Connections.

    async def kill(self, seconds: float | None = None) -> int:
        """Die: cut every connection and refuse new ones. What was being done is given up.

        Args:
            seconds: How long to stay dead; ``None`` until `revive`.

        Returns:
            The number of connections, and of requests in memory.

        Cancellation:
            New connections are refused all the same; some old ones may live.
        """
        await self.refuse(seconds)
        return await self.disconnect_all()

    async def refuse(self, seconds: float | None = None) -> None:
        """Refuse new connections; those there are go on. In memory every request is a new connection.

        Args:
            seconds: For how long; ``None`` until `revive`.

        Cancellation:
            Refused all the same.
        """
        refusal = self._refusal = next(self._refusals)
        if seconds is not None and self._tasks is not None:
            self._tasks.start_soon(self._revive_later, seconds, refusal)
        if self._server is not None:
            await self._server.refuse()

    def revive(self) -> None:
        """Accept connections again, at the same port."""
        self._refusal = None
        if self._server is not None:
            self._server.listen()

    async def disconnect_all(self) -> int:
        """Cut every connection; what was being done is given up. New ones are accepted.

        Returns:
            The number of connections, and of requests in memory.

        Cancellation:
            The connections are cut all the same.
        """
        flights = tuple(self._flights)
        for flight in flights:
            flight.scope.cancel()
            flight.exchange.end(None)
        return len(flights) + (0 if self._server is None else await self._server.cut_all())

    @property
    def connections(self) -> int:
        """Number of connections that are open, and of requests in memory."""
        return len(self._flights) + (0 if self._server is None else self._server.connections)

    def start(self, tasks: TaskGroup) -> None:
        """Answer requests. For the venue's use.

        Args:
            tasks: Where requests are answered.
        """
        self._tasks, self._refusal = tasks, None

    def stop(self) -> None:
        """Answer no more requests. For the venue's use, once the tasks have ended."""
        self._tasks = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for flight in tuple(self._flights):
            flight.exchange.end(None)
        self._flights.clear()

    async def _revive_later(self, seconds: float, refusal: int) -> None:
        await anyio.sleep(seconds)
        if refusal == self._refusal:
            self.revive()

    def _fly(self, exchange: MemoryExchange) -> bool:
        if self._tasks is None or self._refusal is not None:
            return False
        flight = _Flight(exchange)
        self._flights[flight] = None
        self._tasks.start_soon(self._run, flight)
        return True

    async def _run(self, flight: _Flight) -> None:
        try:
            with flight.scope:
                flight.exchange.end(await self.handle(flight.exchange.request))
        finally:
            flight.exchange.end(None)
            self._flights.pop(flight, None)

    # What answers.

    @property
    def dialect(self) -> RestDialect:
        """What answers requests."""
        if self._dialect is None:
            self._dialect = self._make_dialect()
        return self._dialect

    # The clock.

    def now_ns(self) -> int:
        """Return the venue's clock, as its REST side and its exchange have it: nanoseconds since the epoch (UTC)."""
        return self._clock_ns() + self._skew_ns

    def skew(self, seconds: float) -> None:
        """Let the venue's clock differ from the one it was given.

        Args:
            seconds: How far it is ahead; negative: behind; 0 for no difference.
        """
        self._skew_ns = round(seconds * 1_000_000_000)

    # Faults.

    def lose_replies(self, count: int | None = 1, *, match: Match = None) -> None:
        """Do what is asked, and cut the connection without an answer.

        Args:
            count: How many requests; ``None`` for all from now on.
            match: Which, see `bt_api_base.testing.rest_faults.Match`.
        """

        def apply(fate: RequestFate) -> None:
            fate.is_reply_lost = True

        self.faults.arm(apply, count, match)

    def lose_requests(self, count: int | None = 1, *, match: Match = None) -> None:
        """Do nothing of what is asked, and cut the connection; for the client this looks like `lose_replies`.

        Args:
            count: How many requests; ``None`` for all from now on.
            match: Which.
        """

        def apply(fate: RequestFate) -> None:
            fate.is_lost = True

        self.faults.arm(apply, count, match)

    def delay(self, seconds: float, count: int | None = 1, *, match: Match = None, before: bool = False) -> None:
        """Answer late.

        Args:
            seconds: How late.
            count: How many requests; ``None`` for all from now on.
            match: Which.
            before: Whether what is asked is done late as well, and not at once.
        """

        def apply(fate: RequestFate) -> None:
            if before:
                fate.delay_before += seconds
            else:
                fate.delay_after += seconds

        self.faults.arm(apply, count, match)

    def fail(
        self,
        status: int = 503,
        count: int | None = 1,
        *,
        match: Match = None,
        body: bytes | str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        done: bool = False,
    ) -> None:
        """Answer with an error.

        Args:
            status: The HTTP status.
            count: How many requests; ``None`` for all from now on.
            match: Which.
            body: The answer's body; ``None`` for what the venue says with that status.
            headers: The answer's headers, with a body.
            done: Whether what is asked is done all the same.
        """

        def apply(fate: RequestFate) -> None:
            text = body.encode() if isinstance(body, str) else body
            fate.failure = self.dialect.failed(status) if text is None else RestReply(status, text, headers)
            fate.is_done = done

        self.faults.arm(apply, count, match)

    def limit(self, seconds: float, *, banned: bool = False) -> None:
        """Refuse all requests as too many.

        Args:
            seconds: For how long, from now.
            banned: Whether as the venue does when it has banned an address.
        """
        self._limited_until, self._is_ban = anyio.current_time() + seconds, banned

    def clear(self) -> None:
        """Disarm all faults, end limits, and set the clock right."""
        self.faults.clear()
        self._limited_until = -math.inf
        self._skew_ns = 0

    # For the server and the transport.

    async def handle(self, request: RestRequest) -> RestReply | None:
        """Do what a request asks for.

        Args:
            request: The request.

        Returns:
            The reply, or ``None`` where the connection is to be cut.

        Cancellation:
            It is done, or it is not; the log says which.
        """
        dialect = self.dialect
        record = self.log.open(request, self.now_ns(), dialect.placed_ids(request))
        fate = self.faults.fate(request)
        try:
            if fate.delay_before > 0:
                await anyio.sleep(fate.delay_before)
            if fate.is_lost:
                record.ending = RestEnding.LOST
                return None
            reply = fate.failure
            if reply is None or fate.is_done:
                answer = self._answer(dialect, request)
                record.is_done = True
                reply = reply or answer
            if fate.delay_after > 0:
                await anyio.sleep(fate.delay_after)
            if fate.is_reply_lost:
                record.ending = RestEnding.REPLY_LOST
                return None
            record.ending, record.status = RestEnding.ANSWERED, reply.status
            return reply
        finally:
            if record.ending is RestEnding.OPEN:
                record.ending = RestEnding.CUT

    def _answer(self, dialect: RestDialect, request: RestRequest) -> RestReply:
        left = self._limited_until - anyio.current_time()
        return dialect.limited(left, banned=self._is_ban) if left > 0 else dialect.answer(request)


__all__ = ("RestSide",)
