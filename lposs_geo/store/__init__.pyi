from .cache import open_store as open_store
from .disk_array import ChunkedArray as ChunkedArray
from .journal import Journal as Journal
from .journal import open_journal as open_journal
from .runs import open_run as open_run
