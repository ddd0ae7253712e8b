"""Containers that a guest already runs: listed with what to do, and not converted."""
