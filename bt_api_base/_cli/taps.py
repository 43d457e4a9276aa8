"""Adapters around a venue's adapter, which see every frame before or after it is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bt_api_base.websocket.adapter import Channel, Decoded, StreamAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bt_api_base._cli.recording import FrameRecorder

__all__ = ("AdapterTap", "RecordingAdapter")


class AdapterTap(StreamAdapter):
    """Does everything as the adapter inside does.

    Args:
        inner: The venue's adapter.
    """

    def __init__(self, inner: StreamAdapter) -> None:
        self.inner = inner
        self.exchange_name = inner.exchange_name
        self.default_url = inner.default_url
        self.limits = inner.limits
        # Bound once: this is called for each frame.
        self.decode_inner = inner.decode_frame

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        return self.inner.endpoint(url, lease_key)

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
    """Records every frame, whatever it turns out to be.

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
