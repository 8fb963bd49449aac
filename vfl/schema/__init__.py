"""How a section of a file or a set of parameters is declared and checked."""
