"""`python -m broker.supervise`: the whole product on one machine. `bin/run` and `manage.py up` come here."""

from __future__ import annotations

import signal
import sys

from broker.supervise import options

if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    options.apply_to_process(options.parse(sys.argv[1:]))
    # Only now: `--help` must work where nothing is installed yet.
    from broker.supervise.session import main

    sys.exit(main())
