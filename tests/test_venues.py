"""The look-up of stream adapters."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bt_api_base import venues
from bt_api_base.exceptions import ExchangeNotFoundError
from bt_api_base.venues import register_stream_adapter, stream_adapter, stream_adapter_names
from bt_api_base.venues.binance import BinanceSpotAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _registry_as_before() -> Iterator[None]:
    before = dict(venues._factories)
    yield
    venues._factories.clear()
    venues._factories.update(before)


def test_name_leads_to_an_adapter() -> None:
    """A venue's name gives its adapter."""
    adapter = stream_adapter("BINANCE___SPOT")
    assert isinstance(adapter, BinanceSpotAdapter)
    assert "BINANCE___SPOT" == adapter.exchange_name


def test_each_call_makes_a_new_adapter() -> None:
    """One adapter serves one connection, so no two calls share one."""
    assert stream_adapter("BINANCE___SPOT") is not stream_adapter("BINANCE___SPOT")


def test_case_does_not_matter() -> None:
    """A name may be written in lower case."""
    assert isinstance(stream_adapter("binance___spot"), BinanceSpotAdapter)


def test_unknown_name_is_refused_with_what_there_is() -> None:
    """The error names the venue that was asked for and the ones that exist."""
    with pytest.raises(ExchangeNotFoundError, match="BINANCE___SPOT") as caught:
        stream_adapter("BINNACE___SPOT")
    assert "BINNACE___SPOT" == caught.value.exchange_name
    assert stream_adapter_names() == caught.value.available


class _OtherAdapter(BinanceSpotAdapter):
    exchange_name = "OTHER___SPOT"


def test_plugin_registers_a_class() -> None:
    """A registered class is found under its name, in any case."""
    register_stream_adapter("Other___Spot", _OtherAdapter)
    assert isinstance(stream_adapter("OTHER___SPOT"), _OtherAdapter)
    assert {"BINANCE___SPOT", "OTHER___SPOT"} <= set(stream_adapter_names())


def test_plugin_registers_a_name_to_import() -> None:
    """A factory may be given as "module:name", and is imported when first asked for."""
    register_stream_adapter("OTHER___SPOT", "bt_api_base.venues.binance.spot:BinanceSpotAdapter")
    assert isinstance(stream_adapter("OTHER___SPOT"), BinanceSpotAdapter)
    assert isinstance(stream_adapter("OTHER___SPOT"), BinanceSpotAdapter)


def test_plugin_replaces_a_built_in_adapter() -> None:
    """The last registration of a name wins."""
    register_stream_adapter("BINANCE___SPOT", _OtherAdapter)
    assert isinstance(stream_adapter("BINANCE___SPOT"), _OtherAdapter)


def test_looking_up_imports_only_what_is_asked_for() -> None:
    """Importing the look-up loads no venue."""
    code = (
        "import sys, bt_api_base.venues as v; assert 'bt_api_base.venues.binance' not in sys.modules; "
        "v.stream_adapter('BINANCE___SPOT'); assert 'bt_api_base.venues.binance' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)  # noqa: S603 - our own interpreter
