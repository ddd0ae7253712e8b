"""Every file system in every state, volume, partition table and disk format that the kernel's tools make."""
