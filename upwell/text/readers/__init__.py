"""One file a format: SUFFIXES · read(file, name, settings) -> Iterator[Document | Fault]. Faults are values, not raised."""
