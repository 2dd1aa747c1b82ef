"""The engine: which `lposs-geo` is run, how one is set up for QGIS alone, and how it is run as a child process."""
