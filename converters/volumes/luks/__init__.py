"""LUKS: encrypted volumes of a guest, opened with keys that its owner gives."""
