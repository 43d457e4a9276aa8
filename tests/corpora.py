"""Where the recorded venue frames are, for the tests that read them.

The recordings are not part of the repository. They are looked for in the directory named by the environment variable
``BT_API_CORPORA`` or else in ``shared/corpora`` beside the repository; without them, the tests that need them skip.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


def corpora_path(*parts: str) -> Path:
    """Return the path of a file or directory in the recordings, or skip the test that asks.

    Args:
        *parts: Path below the recordings' root, e.g. ``"public", "ws", "binance_spot"``. None: the root.
    """
    configured = os.environ.get("BT_API_CORPORA")
    root = Path(configured) if configured else _REPOSITORY.parent / "shared" / "corpora"
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no recordings here: {'/'.join(parts) or 'BT_API_CORPORA'} not found", allow_module_level=True)
    return path
