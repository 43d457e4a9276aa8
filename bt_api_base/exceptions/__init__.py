"""What can go wrong, and what the caller can do about it.

::

    BtApiError
    ├── ConfigurationError            a setting is wrong                          fix it
    ├── ExchangeNotFoundError         no such exchange here                       fix it
    ├── NotSupportedError             the venue cannot do that                    do without
    ├── InvalidSymbolError            the venue does not list that                fix it
    ├── CurrencyNotFoundError         the account does not hold that              fix it
    ├── ExchangeConnectionError       no session with the venue                   retry
    │   └── AuthenticationError       the venue refused the credentials           fix it
    ├── NetworkError                  the way to the venue failed                 retry
    │   ├── RequestTimeoutError       no answer in time                           retry
    │   └── WebSocketError            a stream connection broke                   retry
    ├── RequestError                  a request did not succeed
    │   ├── RequestFailedError        the venue answered with an error            retry if it says so
    │   └── TimestampError            the clocks differ too much                  correct the clock, retry
    ├── RateLimitError                too much, too fast                          retry after `retry_after`
    │   └── BannedError               the venue has locked this address out       stop
    ├── OrderError                    an order was refused
    │   ├── InvalidOrderError         it breaks a rule of the venue               fix it
    │   ├── InsufficientBalanceError  there is not enough to pay for it           fix it
    │   ├── OrderNotFoundError        the venue does not know it                  fix it
    │   ├── DuplicateOrderError       its client order id is taken                reconcile
    │   └── OrderUnknownError         nobody knows whether it was placed          reconcile, never resend
    ├── DataParseError                the venue sent what cannot be read          report
    │   └── QueueNotInitializedError  a feed has nowhere to put its data          fix it
    ├── SubscribeError                the venue refused a subscription            report
    └── SlowConsumerError             a consumer fell too far behind              consume faster

`ExchangeConnectionAlias` is another name of `ExchangeConnectionError`.

Every class keeps what it was told as attributes and builds its text from them. It can be copied and
pickled, also inside an exception group. It holds no secret: free text, URLs and payloads are redacted
when the exception is made (`bt_api_base._redaction`), identifiers such as order ids are kept as they are.

The predicates at the end look into exception groups, and say yes only if every exception in them
qualifies: a group that holds a timeout *and* a refused order must not be retried.
"""

from __future__ import annotations

from bt_api_base.exceptions.base import (
    BtApiError,
    ErrorContext,
)
from bt_api_base.exceptions.caller import (
    ConfigurationError,
    CurrencyNotFoundError,
    ExchangeNotFoundError,
    InvalidSymbolError,
    NotSupportedError,
)
from bt_api_base.exceptions.connection import (
    AuthenticationError,
    BannedError,
    ExchangeConnectionAlias,
    ExchangeConnectionError,
    NetworkError,
    RateLimitError,
    RequestError,
    RequestFailedError,
    RequestTimeoutError,
    TimestampError,
    WebSocketError,
)
from bt_api_base.exceptions.data import (
    DataParseError,
    QueueNotInitializedError,
    SlowConsumerError,
    SubscribeError,
)
from bt_api_base.exceptions.orders import (
    DuplicateOrderError,
    InsufficientBalanceError,
    InvalidOrderError,
    OrderError,
    OrderNotFoundError,
    OrderUnknownError,
)
from bt_api_base.exceptions.predicates import (
    is_auth_error,
    is_network_error,
    is_order_error,
    is_rate_limit_error,
    is_retryable,
    is_user_recoverable,
)

__all__ = (
    "AuthenticationError",
    "BannedError",
    "BtApiError",
    "ConfigurationError",
    "CurrencyNotFoundError",
    "DataParseError",
    "DuplicateOrderError",
    "ErrorContext",
    "ExchangeConnectionAlias",
    "ExchangeConnectionError",
    "ExchangeNotFoundError",
    "InsufficientBalanceError",
    "InvalidOrderError",
    "InvalidSymbolError",
    "NetworkError",
    "NotSupportedError",
    "OrderError",
    "OrderNotFoundError",
    "OrderUnknownError",
    "QueueNotInitializedError",
    "RateLimitError",
    "RequestError",
    "RequestFailedError",
    "RequestTimeoutError",
    "SlowConsumerError",
    "SubscribeError",
    "TimestampError",
    "WebSocketError",
    "is_auth_error",
    "is_network_error",
    "is_order_error",
    "is_rate_limit_error",
    "is_retryable",
    "is_user_recoverable",
)

# Tracebacks, log lines and pickles name a class where programs import it from.
for _name in __all__:
    _value = globals()[_name]
    if isinstance(_value, type):
        _value.__module__ = __name__
