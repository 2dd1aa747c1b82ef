"""The classes: names, words, colours, codes; read from words, files and presets, and from other programs' rasters."""
