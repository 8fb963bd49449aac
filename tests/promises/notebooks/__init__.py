"""What a notebook or a server does to a process: interrupts end all work, forked children work, progress is shown."""
