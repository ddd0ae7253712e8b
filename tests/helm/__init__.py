"""The chart: rendered by Helm itself, checked against the Kubernetes schemas."""
