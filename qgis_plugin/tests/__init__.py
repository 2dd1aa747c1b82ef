"""Tests of the plugin, run by QGIS's own Python (`make test`, or ../run_tests.py)."""
