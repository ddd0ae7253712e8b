"""Partitions and volumes of a disk, and what each holds."""
