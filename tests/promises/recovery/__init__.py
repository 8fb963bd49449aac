"""A party that is killed or cut off at any message changes nothing.  docs/reliability.md, "Kills" and "Networks"."""
