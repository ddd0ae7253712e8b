"""What files beside the disks say of a machine: VMX, OVF and OVA, read into one ``Machine``."""
