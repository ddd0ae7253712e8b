"""Deployment files written beside an image."""
