"""One file a task: what is measured, and how.

    Settings         a frozen dataclass of the task's own knobs
    measure(...)     -> Scores: numbers with error bars, how many items they rest on
"""
