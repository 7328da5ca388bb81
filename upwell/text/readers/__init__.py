"""One file a format: SUFFIXES · read(file, name, settings) -> Iterator[Document | Fault]; faults are values."""
