"""One read-only, random-access ``Disk`` for every source and format."""
