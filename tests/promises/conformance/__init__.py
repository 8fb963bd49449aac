"""Whether every registered kind of model keeps what all kinds promise (docs/reliability.md: "every kind of model")."""
