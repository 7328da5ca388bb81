"""A process that carries out the first steps of a run and says what they took, in a line of JSON.

    python -m upwell.run.rehearsal pretrain settings.yaml
"""

import json
import sys


def main(verb: str, path: str) -> None:
    """Read the settings, do the steps, print {"peak", "seconds", "tokens", "rows"}."""
    from .. import plugs
    from ..settings import parse
    from ..training import plan
    from . import planning
    from .going import Run

    words = ["--config", path]
    settings = parse(plugs.find("verbs", verb).kind(words), words, verb)
    before = plan.used()
    found = planning.rehearsed(Run(settings))
    print(json.dumps(found | {"peak": found["peak"] - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
