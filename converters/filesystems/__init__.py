"""File systems of a guest, read in user space behind one protocol."""
