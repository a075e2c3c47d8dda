"""`python -m sterna` is `sterna`."""

import sys

from sterna.cli import main

if __name__ == "__main__":
    sys.exit(main())
