"""One file for each thing that can be asked: its record, its answer, its routes.

Each has `add(service, desk)`, which puts its routes into the application, and RECORDS, the kinds of its bodies.
"""
