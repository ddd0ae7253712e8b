"""Decisions about the fleet, pure: events in, instructions out."""
