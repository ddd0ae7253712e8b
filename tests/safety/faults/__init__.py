"""The fault matrix of vCenter, hosts, registry and disks: in one run, each VM meets a fault of its own."""
