"""`python -m upwell` is `upwell`."""

import sys

from upwell.cli import main

if __name__ == "__main__":
    sys.exit(main())
