"""``python -m bt_api_base``: the command line."""

from __future__ import annotations

import sys

from bt_api_base.cli import main

if __name__ == "__main__":
    sys.exit(main())
