"""What a guest asks of a kernel, by its files, and how the kernel of the containers' hosts meets it."""
