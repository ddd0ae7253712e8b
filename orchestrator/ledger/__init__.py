"""What was done, durable."""
