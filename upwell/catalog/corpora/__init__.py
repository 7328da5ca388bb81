"""The corpora of the catalogue: one file each, named after the corpus with _ for -; the contract is one name.

    ENTRY       an upwell.catalog.Entry: what it is, its licence, and its parts by language

A part names its packages in pinned versions, which files of theirs are read, the SHA-256 of those (catalog.digest),
and a function from these files to records: {"text", "title", "label"} of plain texts, or one of the layouts that
`upwell prepare` recognises, which the entry's `what` then names. A record may say "split": "train" or "test", which
prepare keeps. Files that begin with _ are shared by several.
"""
