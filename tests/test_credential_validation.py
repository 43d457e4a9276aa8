"""The usual accidents with keys, and what is shown of one."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import Credentials, check_credentials, find_problems, recipes
from bt_api_base.security.validation import CredentialProblem, mask_credential, validate_api_key
from bt_api_base.security.venue_templates import VENUE_TEMPLATES

UUID = "985d5b66-57ce-40fb-b714-afc0b9787083"
HEX_32, HEX_64 = "0123456789abcdef" * 2, "0123456789abcdef" * 4
SHARED = base64.b64encode(bytes(range(64))).decode()
PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
"""
OLD_PEM = f"""-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,00

{SHARED}
-----END RSA PRIVATE KEY-----
"""

BYBIT_KEY = HEX_32[:18]
HIDDEN = "api_key has a character in it that keys do not have"
LOST = "secret is a PEM that is not whole: its line ends or its last line are lost"
ESCAPED = r"secret is a PEM with \n in place of its line ends: put it in double quotes, or name its file"

USUAL: dict[str, tuple[str, str, str | None]] = {
    "BINANCE": (HEX_64, HEX_64[::-1], None),
    "OKX": (UUID, HEX_32.upper(), "my phrase, with ä"),
    "BYBIT": (BYBIT_KEY, HEX_64[:36], None),
    "GATE": (HEX_32, HEX_64, None),
    "HTX": ("e2a1b2c3-99a1b2c3-84a1b2c3-7a1b2", "b0a1b2c3-c6a1b2c3-94a1b2c3-da1b2", None),
    "GEMINI": ("account-" + "Ab1" * 6 + "xy", "Ab1" * 9, None),
    "KRAKEN": (SHARED[:56], SHARED, None),
    "COINBASE": (f"organizations/{UUID}/apiKeys/{UUID}", PEM, None),
    "COINBASE_EXCHANGE": (HEX_32, SHARED, "phrase"),
    "HYPERLIQUID": ("0x" + HEX_64[:40], "0x" + HEX_64, None),
    "CTP": ("081234", "a pass, wörd!", None),
    "IB": ("someone", "'quoted'", None),
}
"""What keys of each venue look like; all made up."""


def texts(exchange_name: str, *parts: str | None) -> list[str]:
    """Return what is found, certain or not."""
    credentials = Credentials(*(part for part in parts if part is not None))
    marks = {True: "", False: "?"}
    return [f"{one.part} {one.text}{marks[one.is_certain]}" for one in find_problems(exchange_name, credentials)]


@pytest.mark.parametrize("venue", VENUE_TEMPLATES)
def test_usual_keys_have_no_problem(venue: str) -> None:
    """Those that look as the venue's do, and those of private keys where it takes them."""
    key, _, phrase = USUAL[venue]
    assert [] == texts(venue, *USUAL[venue])
    if VENUE_TEMPLATES[venue].takes_private_key:
        assert [] == texts(f"{venue}___SPOT", key, PEM, phrase)
        assert [] == texts(venue, key, OLD_PEM, "its password")


@pytest.mark.parametrize(
    ("venue", "parts", "expected"),
    [
        ("BINANCE", (f"'{HEX_64}'", HEX_64), ["api_key is in quotes"]),
        ("BINANCE", (HEX_64, f'"{HEX_64}"'), ["secret is in quotes"]),
        ("BINANCE", (HEX_64, f"{HEX_64[:30]} {HEX_64}"), ["secret has white space in it"]),
        ("BINANCE", (HEX_64, f"{HEX_64[:30]}\n{HEX_64}"), ["secret has white space in it"]),
        (
            "BINANCE",
            (f"{HEX_64}\u200b", HEX_32),
            [f"{HIDDEN}: ZERO WIDTH SPACE", "secret does not look like one of Binance?"],
        ),
        ("BINANCE", (f"\ufeff{HEX_64}", HEX_64), [f"{HIDDEN}: ZERO WIDTH NO-BREAK SPACE"]),
        ("BINANCE", (f"{HEX_64}\x07", HEX_64), [f"{HIDDEN}: a control character"]),
        ("BINANCE", ("your_binance_api_key_here", HEX_64), ["api_key is a placeholder"]),
        ("BINANCE", (HEX_64, "xxxxxxxxxxxx"), ["secret is a placeholder"]),
        ("BINANCE", ("https://api.binance.com", HEX_64), ["api_key is a URL"]),
        ("BINANCE", (HEX_64, HEX_64), ["secret is the same as the api_key"]),
        ("BINANCE", (HEX_64, HEX_64[:20]), ["secret does not look like one of Binance?"]),
        ("BINANCE", (HEX_64, HEX_64[::-1], "phrase"), ["passphrase is of no use: keys of Binance have none?"]),
        ("BINANCE", (PEM, HEX_64), ["api_key is a private key, and is perhaps the secret"]),
        ("OKX", (HEX_32.upper(), UUID, "phrase"), ["secret and api_key have changed places"]),
        ("OKX", (UUID, HEX_32.upper()), ["passphrase is missing: keys of OKX have one"]),
        ("OKX", (UUID, HEX_32.upper(), UUID), ["passphrase is the same as another part"]),
        ("OKX", (UUID, HEX_32.upper(), "'phrase'"), ["passphrase is in quotes: are they part of it?"]),
        ("OKX", (UUID, PEM, "phrase"), ["secret is a private key, which OKX does not take"]),
        ("KRAKEN", (SHARED, SHARED[:56]), ["secret and api_key have changed places"]),
        ("KRAKEN", (SHARED[:56], "not*base64"), ["secret is not in Base64, as Kraken gives it out"]),
        ("BYBIT", (BYBIT_KEY, PEM.replace("\n", "\\n")), [ESCAPED]),
        ("BYBIT", (BYBIT_KEY, PEM.replace("\n", " ").strip()), [LOST]),
        ("BYBIT", (BYBIT_KEY, PEM[:70]), [LOST]),
        (
            "BYBIT",
            (BYBIT_KEY, PEM.replace("PRIVATE", "PUBLIC")),
            ["secret is a PEM of something else than a private key"],
        ),
        ("BYBIT", (BYBIT_KEY, PEM.replace("MC4C", "MC4")), ["secret is a PEM that was changed: it is no Base64"]),
        ("SOMEWHERE", ("short", "anything at all"), ["secret has white space in it?"]),
        ("SOMEWHERE", ("key", "secret", "phrase"), []),
    ],
)
def test_accidents_are_found(venue: str, parts: tuple[str, ...], expected: list[str]) -> None:
    """What no venue can take is certain; what only looks unusual is not, and is not repeated beside it."""
    uncertain = "passphrase is in quotes"
    expected = [f"{one}?" if one.startswith(uncertain) else one for one in expected]
    assert expected == texts(venue, *parts)


def test_only_what_is_certain_is_refused() -> None:
    """Venues may change what their keys look like."""
    check_credentials("BINANCE", Credentials("a-new-kind-of-key", "a-new-kind-of-secret"))
    text = "BINANCE: api_key is in quotes; secret is a placeholder"
    with pytest.raises(ConfigurationError, match=text):
        check_credentials("BINANCE", Credentials(f"'{HEX_64}'", "<secret>"))


@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from([*VENUE_TEMPLATES, "SOMEWHERE"]))
def test_whatever_is_given_is_judged(key: str, secret: str, venue: str) -> None:
    """And does not show in what is said."""
    try:
        credentials = Credentials(key, secret)
    except ConfigurationError:
        return
    for problem in find_problems(venue, credentials):
        assert isinstance(problem, CredentialProblem)
        if len(secret) > 40:
            assert secret not in problem.text


def test_keys_are_told_from_junk() -> None:
    """As the older helper does."""
    assert validate_api_key(HEX_64)
    assert validate_api_key("short-key", min_length=4)
    for junk in ("", "short", f"'{HEX_64}'", f"{HEX_64} ", "your_api_key_goes_here", "é" * 20):
        assert not validate_api_key(junk)


@given(st.text(), st.integers(-2, 20))
def test_at_least_half_of_a_key_is_masked(text: str, visible: int) -> None:
    """Whatever is asked for."""
    masked = mask_credential(text, visible)
    assert masked == "****" or len(masked) == len(text) >= 8
    # The text itself may have asterisks.
    shown = masked.count("*")
    assert shown >= len(text) / 2 or masked == "****"


def test_ends_of_a_key_are_left() -> None:
    """For a person to tell keys apart; nothing of a short one or of a private key."""
    assert "abcd********mnop" == mask_credential("abcdefghijklmnop")
    assert "ab************op" == mask_credential("abcdefghijklmnop", 2)
    assert "ab****gh" == mask_credential("abcdefgh", 4)
    assert ["****"] * 3 == [mask_credential(text) for text in ("", "abcdefg", PEM)]
    assert "****" == mask_credential("abcdefghijklmnop", 0)


def test_each_recipe_belongs_to_a_venue() -> None:
    """The table has them all."""
    known = {template.recipe for template in VENUE_TEMPLATES.values()} - {None}
    assert {getattr(recipes, name) for name in recipes.__all__ if name.endswith("_request")} == known


def test_every_venue_is_on_the_page() -> None:
    """With its variables and its signatures."""
    page = (Path(__file__).parent.parent / "docs" / "credentials.md").read_text(encoding="utf-8")
    for template in VENUE_TEMPLATES.values():
        variables = [
            f"{template.venue}_{part.variables[0]}"
            for part in (template.api_key, template.secret, template.passphrase)
            if part is not None
        ]
        row = next((line for line in page.splitlines() if line.startswith(f"| {template.title} |")), "")
        assert variables == re.findall(r"`(\w+)`", row.split("|")[2]), template.venue
        for signature in template.signatures:
            assert signature in row
