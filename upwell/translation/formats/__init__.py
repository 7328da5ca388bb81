"""One file a document format (contract only).

    SUFFIXES                      the file name endings that this format answers for
    read(bytes)                   -> Document: its segments of text and everything between them
    write(document, segments)     -> bytes: the same document with other segments; read then write changes nothing
"""
