"""Disks made to do harm, read as the product reads them: in the reading process, from end to end."""
