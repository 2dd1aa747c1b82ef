"""What is written: names of outputs, staging until all are complete, room on the disk, names and text that are odd."""
