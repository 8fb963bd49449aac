"""`vfl node`: one process per party that runs all its jobs behind one port.  (docs/adr/0026-node.md)"""
