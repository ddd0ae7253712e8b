"""What a worker reaches and what it has, found out on the worker itself, in bounded time."""
