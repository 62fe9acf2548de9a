"""`python -m automtl`."""

from automtl.cli import main
from automtl.system.cache import remove_fetched
from automtl.system.workers import is_worker, leave

try:
    main()
except SystemExit as end:
    if is_worker():
        remove_fetched()
        leave(end.code if isinstance(end.code, int) else 0)
    raise
