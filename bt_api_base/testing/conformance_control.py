"""Rules 60 to 79: answers, heartbeats, notices, secrets, and adapters side by side."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bt_api_base.containers import EVENT_TYPES
from bt_api_base.exceptions import BtApiError
from bt_api_base.testing.conformance_rules import LOCAL_TIME, Finding, Rule, outcome, raised, shown
from bt_api_base.websocket.adapter import Ack, Heartbeat, LoggedIn, LoginRefused, Notice, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.testing.conformance_rules import Bench, Frame
    from bt_api_base.websocket.adapter import Control

_serial = itertools.count(1)


def _control(bench: Bench, frame: Frame) -> tuple[list[Event | Control], str]:
    """Return the control messages of a frame at the endpoint that understands it best, and what is wrong."""
    wrong = ""
    best: list[Event | Control] = []
    for endpoint in bench.endpoints:
        try:
            key, items = bench.subscribed(endpoint).decode_frame(frame, LOCAL_TIME)
        except Exception as error:  # noqa: BLE001 - whatever a faulty adapter raises
            wrong = wrong or raised(error)
            continue
        if key is not None or any(isinstance(item, EVENT_TYPES) for item in items):
            wrong = f"is data of {key!r}"
            continue
        found = list(items)
        if not best or any(
            isinstance(item, (Ack, Refusal, Heartbeat, Notice, LoggedIn, LoginRefused)) for item in found
        ):
            best = found
    return best, "" if best else wrong


def _acks(bench: Bench) -> Iterator[Finding]:
    for frame in bench.examples.acks:
        found, wrong = _control(bench, frame)
        answers = [item for item in found if isinstance(item, (Ack, LoggedIn))]
        where = f"decode_frame({shown(frame)})"
        if not answers:
            yield Finding(where, wrong or f"is {shown(found)}", "return an Ack: it is given as one")
        for answer in answers:
            if isinstance(answer, LoggedIn):
                continue
            if answer.request_id is None and answer.key is None:
                yield Finding(
                    where, f"is {shown(answer)}", "say what is confirmed: the request's id or the channel's key"
                )
            elif answer.key is not None and answer.key not in bench.channels:
                yield Finding(where, f"confirms {answer.key!r}", f"name a channel: one of {shown([*bench.channels])}")


def _refusals(bench: Bench) -> Iterator[Finding]:
    for frame in bench.examples.refusals:
        found, wrong = _control(bench, frame)
        refusals = [item for item in found if isinstance(item, (Refusal, LoginRefused))]
        where = f"decode_frame({shown(frame)})"
        if not refusals:
            yield Finding(where, wrong or f"is {shown(found)}", "return a Refusal: it is given as one")
        for refusal in refusals:
            if refusal.code is None and not refusal.message:
                yield Finding(where, f"is {shown(refusal)}", "give the venue's code and text")


def _heartbeats(bench: Bench) -> Iterator[Finding]:
    for frame in bench.examples.heartbeats:
        found, wrong = _control(bench, frame)
        beats = [item for item in found if isinstance(item, Heartbeat)]
        where = f"decode_frame({shown(frame)})"
        if not beats:
            yield Finding(where, wrong or f"is {shown(found)}", "return a Heartbeat: it is given as one")
        for beat in beats:
            reply: Any = beat.reply
            if reply is not None and (not isinstance(reply, (str, bytes)) or not reply):
                yield Finding(where, f"is to be answered with {shown(reply)}", "reply with a message, or None")


def _notices(bench: Bench) -> Iterator[Finding]:
    for frame in bench.examples.notices:
        found, wrong = _control(bench, frame)
        if not any(isinstance(item, Notice) and item.kind for item in found):
            yield Finding(f"decode_frame({shown(frame)})", wrong or f"is {shown(found)}", "return a Notice with a kind")


def _independent(bench: Bench) -> Iterator[Finding]:
    for frame, endpoint in bench.frames:
        mine = bench.subscribed(endpoint)
        expected = outcome(bench.subscribed(endpoint), frame)
        fresh = bench.adapter(endpoint)
        before = outcome(bench.adapter(endpoint), frame)
        other = bench.adapter(endpoint)
        for batch in bench.batches(other, endpoint):
            # The same channels by another name, which was never there before: nobody else may learn it.
            names = [msgspec.structs.replace(channel, symbol=f"OTHER{next(_serial)}-NAME") for channel in batch]
            other.subscribe_frame(1, names)
            outcome(other, frame)
            other.unsubscribe_frame(2, names)
        for adapter, was in ((mine, expected), (fresh, before), (bench.adapter(endpoint), before)):
            now = outcome(adapter, frame)
            if now != was:
                yield Finding(
                    f"decode_frame({shown(frame)})",
                    f"is {shown(now)} after another adapter was used, and was {shown(was)}",
                    "keep what an adapter remembers in the instance: in __init__, not in the class or module",
                )


def _secrets(bench: Bench) -> Iterator[Finding]:
    secret = bench.credentials.secret.reveal()
    for endpoint in bench.endpoints:
        adapter = bench.subscribed(endpoint, credentials=True)
        sent: list[tuple[str, object]] = [
            ("login_frame", adapter.login_frame(1)),
            ("ping_frame", adapter.ping_frame()),
            ("endpoint", adapter.endpoint(adapter.default_url)),
        ]
        for batch in bench.batches(adapter, endpoint):
            sent.append(("subscribe_frame", adapter.subscribe_frame(2, batch)))
            sent.append(("probe_frame", adapter.probe_frame(3, batch[0])))
            sent.append(("unsubscribe_frame", adapter.unsubscribe_frame(4, batch)))
        for where, text in sent:
            if text is not None and secret in str(text):
                yield Finding(f"{where} at {endpoint!r}", "has the secret in it", "sign with it; never send it")
        login = sent[0][1]
        if login is not None and (not isinstance(login, str) or not login):
            yield Finding(f"login_frame at {endpoint!r}", f"is {shown(login)}", "return a text, or None")
        for where, text in (("repr", repr(adapter)), ("str", str(adapter)), ("vars", repr(vars(adapter)))):
            if bench.planted.find(text):
                yield Finding(
                    f"{where} of the adapter", "shows the credentials", "keep Secret values, and reveal to sign"
                )


def _no_credentials(bench: Bench) -> Iterator[Finding]:
    for endpoint in bench.endpoints:
        adapter = bench.adapter(endpoint, credentials=False)
        acts: list[tuple[str, Callable[[], object]]] = [("login_frame", partial(adapter.login_frame, 1))]
        batches = bench.batches(adapter, endpoint)
        acts += [("subscribe_frame", partial(adapter.subscribe_frame, 2, batch)) for batch in batches]
        for where, act in acts:
            try:
                act()
            except BtApiError:
                continue
            except Exception as error:  # noqa: BLE001 - the question
                yield Finding(
                    f"{where} at {endpoint!r} without credentials",
                    raised(error),
                    "raise ConfigurationError that says what is needed, or do without",
                )


RULES: Final[Sequence[Rule]] = (
    Rule(60, "acknowledgements are recognized", "a subscription waits for its own", _acks),
    Rule(61, "refusals are recognized", "a consumer is to be told why", _refusals),
    Rule(62, "heartbeats are recognized", "an unanswered one ends the connection", _heartbeats),
    Rule(63, "notices are recognized", "a connection is replaced before the venue closes it", _notices),
    Rule(70, "adapters do not influence one another", "each connection has its own", _independent),
    Rule(71, "secrets are signed with and never shown", "frames and reprs end up in logs", _secrets),
    Rule(72, "missing credentials are a configuration error", "the user has to be told what to do", _no_credentials),
)
"""These rules, by number."""

__all__ = ("RULES",)
