"""The plan as a file, rules, and what both decide."""
