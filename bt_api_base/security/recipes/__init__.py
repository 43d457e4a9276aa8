"""What venues want signed: pure functions from credentials and a request to what is sent.

They are here, and not with the venues' stream adapters, because logging in over a WebSocket and asking over REST take
the same ones. A recipe is named after the venue that published it; others use it too. Each is a `Recipe`, so whatever
sends requests needs a few lines for all of them:

```python
class Signed(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request):
        url = request.url
        plain = RequestToSign(request.method, url.path, url.query.decode(), request.content.decode(), url.host)
        signed = binance_request(self.credentials, plain, timestamp_ns=self.clock.now_ns())
        request.url = url.copy_with(query=signed.query.encode())
        request.headers.update(signed.headers)
        yield request
```
"""

from __future__ import annotations

from bt_api_base.security.recipes.binance import (
    binance_query_signature,
    binance_request,
    binance_websocket_payload,
    binance_websocket_signature,
)
from bt_api_base.security.recipes.bybit import bybit_request
from bt_api_base.security.recipes.coinbase import (
    coinbase_exchange_request,
    coinbase_exchange_signature,
    coinbase_request,
    coinbase_token,
)
from bt_api_base.security.recipes.gate import gate_channel_signature, gate_request
from bt_api_base.security.recipes.gemini import gemini_request
from bt_api_base.security.recipes.htx import htx_request
from bt_api_base.security.recipes.kraken import kraken_request
from bt_api_base.security.recipes.nonce import Nonce
from bt_api_base.security.recipes.okx import okx_login_signature, okx_request, okx_signature
from bt_api_base.security.recipes.signed_request import (
    ParameterValue,
    Recipe,
    RequestToSign,
    SignedRequest,
    iso_milliseconds,
    percent_encoded,
)

__all__ = (
    "Nonce",
    "ParameterValue",
    "Recipe",
    "RequestToSign",
    "SignedRequest",
    "binance_query_signature",
    "binance_request",
    "binance_websocket_payload",
    "binance_websocket_signature",
    "bybit_request",
    "coinbase_exchange_request",
    "coinbase_exchange_signature",
    "coinbase_request",
    "coinbase_token",
    "gate_channel_signature",
    "gate_request",
    "gemini_request",
    "htx_request",
    "iso_milliseconds",
    "kraken_request",
    "okx_login_signature",
    "okx_request",
    "okx_signature",
    "percent_encoded",
)
