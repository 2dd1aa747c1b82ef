"""The affinities of the method: between patches that look alike, and between pixels of one colour."""
