"""Labels as a valid coverage of polygons, drawn row by row and streamed into files."""
