"""What services need, and what their containers are given."""
