"""`python -m bench gateway`: the benches without the command line's other packages."""

import sys

from bench.main import run

sys.exit(run(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
