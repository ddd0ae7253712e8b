"""What the run looks like from outside: metrics, live view, HTML and JSON reports."""
