"""What is finished, on the disk: journals, arrays in them, the folder of a run, the cache of features."""
