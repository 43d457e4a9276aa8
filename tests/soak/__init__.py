"""A long run: connections lost and replaced a thousand times, and nothing left behind."""
