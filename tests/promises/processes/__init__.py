"""The commands work as three institutions type them: real processes, TLS, files.

docs/reliability.md, "At the start" and "What is kept".
"""
