"""Adapters around a venue's adapter, which see every frame before or after it is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bt_api_base.websocket.adapter import Channel, Decoded, StreamAdapter, StreamLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bt_api_base._cli.recording import FrameRecorder
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy
    from bt_api_base.websocket.lease import SessionLease

__all__ = ("AdapterTap", "RecordingAdapter")


class AdapterTap(StreamAdapter):
    """Does everything as the adapter inside does, except that it decodes frame by frame.

    So there is one method through which every frame goes, `decode_frame`. Like every adapter, a tap serves one
    connection; what several are to share is given to each of them.

    Args:
        inner: The venue's adapter.
    """

    def __init__(self, inner: StreamAdapter) -> None:
        self.inner = inner
        self.exchange_name = inner.exchange_name
        self.default_url = inner.default_url
        # Bound once: this is called for each frame.
        self.decode_inner = inner.decode_frame

    # What a connection sets is for the adapter inside, and what it asks for may depend on that.

    @property
    def limits(self) -> StreamLimits:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The venue's limits, at `endpoint_name`."""
        return self.inner.limits

    @property
    def endpoint_name(self) -> str:
        """Which of the venue's endpoints the connection goes to."""
        return self.inner.endpoint_name

    @endpoint_name.setter
    def endpoint_name(self, name: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.inner.endpoint_name = name

    @property
    def credentials(self) -> Credentials | None:
        """What private channels are signed with."""
        return self.inner.credentials

    @credentials.setter
    def credentials(self, credentials: Credentials | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.inner.credentials = credentials

    @property
    def transport_policy(self) -> TransportPolicy | None:
        """How requests for a session lease leave this machine."""
        return self.inner.transport_policy

    @transport_policy.setter
    def transport_policy(self, policy: TransportPolicy | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.inner.transport_policy = policy

    @property
    def now_ns(self) -> Callable[[], int]:
        """The venue's time."""
        return self.inner.now_ns

    @now_ns.setter
    def now_ns(self, now_ns: Callable[[], int]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.inner.now_ns = now_ns

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        return self.inner.endpoint(url, lease_key)

    @override
    def session_lease(self, url: str) -> SessionLease | None:
        return self.inner.session_lease(url)

    @override
    def login_frame(self, request_id: int) -> str | None:
        return self.inner.login_frame(request_id)

    @override
    def probe_frame(self, request_id: int, channel: Channel) -> str:
        return self.inner.probe_frame(request_id, channel)

    @override
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        return self.inner.channel(topic, symbol, params)

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        return self.inner.subscribe_frame(request_id, channels)

    @override
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        return self.inner.unsubscribe_frame(request_id, channels)

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        return self.decode_inner(frame, local_time)

    @override
    def ping_frame(self) -> str | None:
        return self.inner.ping_frame()


class RecordingAdapter(AdapterTap):
    """Records every frame, whatever it turns out to be. While two connections overlap, those of both.

    Args:
        inner: The venue's adapter.
        recorder: Takes the frames.
    """

    def __init__(self, inner: StreamAdapter, recorder: FrameRecorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        self._recorder.take(frame, local_time)
        return self.decode_inner(frame, local_time)
