"""The only home of pyvmomi: session, inventory, snapshots, leases."""
