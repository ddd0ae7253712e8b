"""What a guest is and runs: facts, pure over a ``Filesystem``."""
