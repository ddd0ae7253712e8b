"""Starts a machine's containers in an engine and looks whether they serve what the machine did."""
