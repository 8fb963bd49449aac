"""What the product promises, one folder per question (docs/reliability.md)."""
