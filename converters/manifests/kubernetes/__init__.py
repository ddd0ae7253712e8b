"""Kubernetes manifests for one machine: a folder for ``kubectl apply -k``."""
