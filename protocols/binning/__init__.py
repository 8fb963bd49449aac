"""Bins of a party's own columns, by quantiles and by the label."""
