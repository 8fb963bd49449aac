"""A party's own work on several processes or machines: where its workers are, and how calls get there."""
