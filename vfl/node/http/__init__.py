"""The local face of a node: HTTP for people and programs of this party (extra `node`)."""
