"""From a tree to layers, config and manifest (OCI image specification 1.1)."""
