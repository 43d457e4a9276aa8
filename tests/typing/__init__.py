"""Files for type checkers only."""
