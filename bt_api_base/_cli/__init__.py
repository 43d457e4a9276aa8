"""The parts of the command line: one module per subject. `bt_api_base.cli` puts them together.

`model` takes batches of events and knows everything that can be shown; `view` turns a model into something to look at
and `plain` into lines of text, both without side effects; `screen` shows either while a command runs. `pipeline`
connects manager, bus and model. `demo`, `watch` and `replay` are the commands.
"""

from __future__ import annotations

__all__ = ()
