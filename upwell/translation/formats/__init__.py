"""One file a format: SUFFIXES · read(data, name) -> Opened. Unreadable, with its line, for what is no such file.

Parts that are written back as they were read give the file byte for byte.
"""
