"""Where a guest's secrets are, and what becomes of them."""
