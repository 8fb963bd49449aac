"""Packs what a validator, an auditor or a data-protection officer needs of one run, signed: `vfl evidence`.

recorded  what the run's folder holds          about     what the institution says itself (evidence.toml)
figures   the numbers that may leave           questions, documents  what the pages say
pack      the archive and its signature        checking  finds any changed byte
"""
