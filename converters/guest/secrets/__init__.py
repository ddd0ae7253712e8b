"""Keys, passwords and other credentials of a guest: where they are and who uses them, never what they are."""
