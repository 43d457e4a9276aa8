"""A feed for any venue that has a `VenueApi`: market data, orders, the account, and the account's events."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
from anyio import AsyncContextManagerMixin
from anyio.lowlevel import EventLoopToken, current_token
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.feeds.account_ledger import AccountLedger
from bt_api_base.feeds.blocking import BlockingWrapperMixin
from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.connection_state import FeedConnectionState
from bt_api_base.feeds.native_account import AccountMethods
from bt_api_base.feeds.native_market import MarketMethods
from bt_api_base.feeds.native_orders import OrderMethods
from bt_api_base.feeds.order_check import OrderCheck
from bt_api_base.feeds.order_desk import OrderDesk
from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.feeds.orders_tracker import OrderFate, OrderTracker
from bt_api_base.feeds.reconciliation import Reconciler
from bt_api_base.feeds.user_data import UserData
from bt_api_base.instrument_manager import get_instrument_manager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    from anyio.abc import TaskGroup
    from typing_extensions import Self

    from bt_api_base.containers import Event
    from bt_api_base.feeds.native_core import DataQueue
    from bt_api_base.feeds.orders_tracker import TrackedOrder
    from bt_api_base.feeds.venue_api import VenueApi
    from bt_api_base.instrument_manager import InstrumentManager
    from bt_api_base.websocket.config import WebSocketConfig
    from bt_api_base.websocket_manager import AdapterFactory, WebSocketManager

__all__ = ("NativeFeed",)


class NativeFeed(
    MarketMethods,
    OrderMethods,
    AccountMethods,
    BlockingWrapperMixin,
    AsyncContextManagerMixin,
):
    """A venue's feed, for programs with an event loop and for those without.

    With one, it is used inside of ``async with``, and its methods are the ``async_`` ones. Without one, `connect` it
    (or use ``with``) and call the others. It can be entered again after it was left.

    Args:
        data_queue: Where containers are put besides being returned, as older programs expect; ``None``: nowhere.
        api: Makes the venue's API; called when the feed is entered.
        manager: Connections for the account's events; ``None``: the feed makes its own when they are wanted.
        stream: How to reach the venue's streams, with the credentials; ``None`` where ``manager`` knows already, or
            where no account's events are wanted.
        stream_adapter: Makes the adapter of the streams; ``None``: `bt_api_base.venues.stream_adapter`.
        tracker: What is known of orders, carried over from another feed; ``None``: a new one.
        instruments: Where the venue's instruments are put; ``None``: what the whole process shares.
        policy: How the fate of an order is found out.
        order_check: What is done about orders that break a rule of their instrument.
        exchange_info_ttl: For how long the list of instruments is taken to be right, seconds.

    Attributes:
        data_queue: As above.
        tracker: As above.
        instruments: As above.
        order_check: As above.
        policy: As above.
    """

    default_policy: ClassVar[ResolvePolicy] = ResolvePolicy()

    def __init__(
        self,
        data_queue: DataQueue | None = None,
        *,
        api: VenueApi | Callable[[], VenueApi],
        manager: WebSocketManager | None = None,
        stream: WebSocketConfig | None = None,
        stream_adapter: AdapterFactory | None = None,
        tracker: OrderTracker | None = None,
        instruments: InstrumentManager | None = None,
        policy: ResolvePolicy | None = None,
        order_check: OrderCheck | str = OrderCheck.REFUSE,
        exchange_info_ttl: float = 3600.0,
    ) -> None:
        self.data_queue = data_queue
        self.tracker = OrderTracker() if tracker is None else tracker
        self.instruments = get_instrument_manager() if instruments is None else instruments
        self.policy = self.default_policy if policy is None else policy
        self.order_check = OrderCheck(order_check)
        self.exchange_info_ttl = exchange_info_ttl
        self._given_api = api
        self._manager = manager
        self._stream = stream
        self._stream_adapter_factory = stream_adapter
        self._state = FeedConnectionState.DISCONNECTED
        self._tasks: TaskGroup | None = None
        self._loop: EventLoopToken | None = None
        self._init_core()

    def __repr__(self) -> str:
        open_orders, unknown = len(self.tracker.open), len(self.tracker.unknown)
        return f"<{type(self).__name__} {self._state.value} open={open_orders} unknown={unknown}>"

    @property
    @override
    def exchange_name(self) -> str:
        """The venue, such as ``"BINANCE___SPOT"``."""
        return self._described().exchange_name

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        """What the venue can do."""
        return frozenset(self._described().capabilities)

    def _described(self) -> VenueApi | type[VenueApi]:
        """Return what tells name and capabilities: the API in use, or the class or object that was given."""
        if self._api is not None:
            return self._api
        given: Any = self._given_api
        if not hasattr(given, "exchange_name"):
            raise ConfigurationError(f"{type(self).__name__} is not connected, so its venue is not known yet")
        described: VenueApi = given
        return described

    # -- the session -------------------------------------------------------------------------------

    @property
    def connection_state(self) -> FeedConnectionState:
        """Whether the feed is in use. Calls over REST need no standing connection, so nothing is proven by it."""
        return self._state

    @override
    def is_connected(self) -> bool:
        """Tell whether the feed is in use, by whichever way it was entered."""
        return self._state in {FeedConnectionState.CONNECTED, FeedConnectionState.AUTHENTICATED}

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._state = FeedConnectionState.CONNECTING
        self._listing = anyio.Lock()
        failure: Exception | None = None
        try:
            async with AsyncExitStack() as stack:
                given: Any = self._given_api
                api: Any = given if hasattr(given, "place") and not isinstance(given, type) else given()
                if hasattr(api, "__aenter__"):
                    await stack.enter_async_context(api)
                async with anyio.create_task_group() as tasks:
                    try:
                        self._start(api, tasks)
                        yield self
                    except Exception as error:  # noqa: BLE001 - raised again below
                        failure = error
                    finally:
                        self._state = FeedConnectionState.DISCONNECTED
                        self._tasks = self._desk = self._loop = None
                        self._say_what_is_unknown()
                        tasks.cancel_scope.cancel()
                # What the program raised goes on as it is: the feed's own tasks raise nothing to be grouped with.
                if failure is not None:
                    raise failure
        except BaseException:
            if self._state is FeedConnectionState.CONNECTING:
                self._state = FeedConnectionState.ERROR
            raise
        finally:
            self._api = None

    def _start(self, api: VenueApi, tasks: TaskGroup) -> None:
        self._api = api
        self._tasks = tasks
        self._loop = current_token()
        desk = self._desk = OrderDesk(api, self.tracker, self.policy, self._start_soon)
        client: Any = getattr(api, "client", None)
        if client is not None and getattr(client, "on_unknown", self) is None:
            client.on_unknown = desk.hear_of
            desk.hears_of_sent = True
        for entry in self.tracker.all():
            if entry.fate is OrderFate.SENDING:
                self.tracker.lost(entry)  # another feed was sending it when that was left
            elif entry.fate is OrderFate.UNKNOWN:
                entry.unknown_since = anyio.current_time()  # what another loop's time was says nothing in this one
            desk.resolve(entry)
        self._state = FeedConnectionState.CONNECTED

    def _start_soon(self, function: Callable[[TrackedOrder], Coroutine[Any, Any, None]], entry: TrackedOrder) -> None:
        # A call that outlives the feed has nobody to find out for it; the next feed with its tracker does.
        if self._tasks is not None:
            self._tasks.start_soon(function, entry, name=f"resolve {entry.client_order_id}")

    def _say_what_is_unknown(self) -> None:
        unknown = self.tracker.unknown
        if unknown:
            self._log.error(
                "a feed is left while the fate of orders is unknown: look them up",
                exchange_name=self.exchange_name,
                orders=[entry.client_order_id for entry in unknown],
            )

    @override
    def _event_loop(self) -> EventLoopToken | None:
        return self._loop

    # -- the account's events ----------------------------------------------------------------------

    @asynccontextmanager
    async def user_data(
        self,
        kinds: Iterable[type[Event]] = (),
        *,
        symbols: Iterable[str] = (),
        since: int | None = None,
        show_gaps: bool = False,
        recheck_after: float | None = 5.0,
        max_buffer_size: int = 10_000,
    ) -> AsyncGenerator[UserData]:
        """Open the stream of the account's events: orders, fills, balances, positions; see `UserData`.

        Args:
            kinds: Types of the events that are wanted, such as ``(Order, Fill)``; none: all.
            symbols: Instruments that other programs trade with this account: after a gap they are asked for as well.
                Those that the account was seen to trade need not be named.
            since: Venue time from which on fills and orders are told, nanoseconds since the epoch (UTC); ``None``: from
                now on. Those of the feed's own orders are told in any case.
            show_gaps: Whether a `Gap` stands in the stream, before what was missed at it.
            recheck_after: How long after a gap to compare once more, seconds, because venues can be late; ``None``:
                never.
            max_buffer_size: Events the stream holds before it counts as slow; it ends at ten times as many.

        Raises:
            ConfigurationError: There is no manager, and the feed was not told how to reach the streams.
            AuthenticationError: The venue refused the credentials.
            BtApiError: A channel was refused, or the venue could not be asked.

        Cancellation: The channels are given back.
        """
        api = self._require(Capability.ACCOUNT_STREAM)
        desk = self._orders
        wanted = tuple(kinds)
        failure: Exception | None = None
        async with AsyncExitStack() as stack:
            manager = await self._connections(stack)
            began = time.time_ns()
            subscriptions = [
                await stack.enter_async_context(await manager.subscribe(api.exchange_name, topic, symbol))
                for topic, symbol in api.private_channels
            ]
            reconciler = Reconciler(
                api,
                AccountLedger(),
                self.tracker,
                baseline=await api.server_time() if since is None else since,
                extra_symbols=tuple(symbols),
                may_tell=(lambda event: isinstance(event, wanted)) if wanted else (lambda _event: True),
            )
            stream = UserData(
                reconciler,
                desk,
                exchange_name=api.exchange_name,
                max_buffer_size=max_buffer_size,
                show_gaps=show_gaps,
                recheck_after=recheck_after,
                hand_over=self._hand_over,
            )
            await stream.start(began)
            async with anyio.create_task_group() as tasks:
                for subscription in subscriptions:
                    tasks.start_soon(stream.follow, subscription, time.time_ns)
                tasks.start_soon(stream.recheck)
                self._state = FeedConnectionState.AUTHENTICATED
                try:
                    yield stream
                except Exception as error:  # noqa: BLE001 - raised again below, as in `__asynccontextmanager__`
                    failure = error
                finally:
                    if self._tasks is not None:
                        self._state = FeedConnectionState.CONNECTED
                    stream.close()
                    tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _connections(self, stack: AsyncExitStack) -> WebSocketManager:
        """Return a manager that knows the venue: the one that was given, or a new one."""
        from bt_api_base.websocket_manager import WebSocketManager

        manager = self._manager
        if manager is None:
            if self._stream is None:
                raise ConfigurationError(
                    f"{type(self).__name__} cannot reach the account's streams: give it stream=, or a manager"
                )
            manager = await stack.enter_async_context(WebSocketManager())
        if self._stream is not None and self.exchange_name not in manager.get_stats():
            await manager.add_exchange(self._stream, adapter=self._stream_adapter_factory)
        return manager
