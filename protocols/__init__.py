"""What the papers describe: messages, channels, ciphers, alignment, regression.  Knows nothing of sockets, files or
threads."""
