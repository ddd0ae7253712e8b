"""Safety end to end: the command as a whole process against real parts, killed, cut off and interrupted."""
