"""What tests and benchmarks are made of: small rasters, encoders that take no time, a little file server."""
