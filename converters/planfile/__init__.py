"""The plan of a machine as a file that a person edits, rules over many machines, and what both decide."""
