"""Every attack of the audit stays at or under its bound on this product, and finds what is planted: a leak in a twin of
a run, and a fault in the product itself.

docs/privacy-results.md has the results.
"""
