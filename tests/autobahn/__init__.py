"""The Autobahn test suite, run against `open_websocket`: ``python -m tests.autobahn.run --help``."""
