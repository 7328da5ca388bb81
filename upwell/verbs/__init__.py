"""The command line's verbs: one file each, named after its verb; each walks rooms and holds no logic of its own.

A verb's file has
    a docstring       its first line stands in `upwell --help`, the whole opens `upwell VERB --help`;
                      what follows a line "Examples:" closes that help
    Settings          a frozen dataclass with a docstring under each field (tyro.conf.Positional for positionals)
    main(settings)    does the work and returns an exit code, or None for 0
Heavy rooms are imported inside `main`, so that `--help` answers at once.
"""
