"""What a guest's package manager has installed, read from its database; one module for each manager."""
