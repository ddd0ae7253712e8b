"""What was seen of a machine while it ran: its sockets, processes and links, beside what its files tell."""
