"""Averages over institutions that hold the same columns of different customers."""
