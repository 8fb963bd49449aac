"""One process per party runs all jobs: nothing leaves unapproved, and each approved job ends right, whatever is killed.

docs/reliability.md, "A node".
"""
