"""One file an audit (contract only).

    Settings                              a frozen dataclass of the audit's own knobs
    run(backend, checkpoint, settings)    -> Finding(claim, numbers, evidence); checkpoint is None where only a
                                          server is there
"""
