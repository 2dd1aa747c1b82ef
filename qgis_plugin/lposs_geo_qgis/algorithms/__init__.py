"""The Processing algorithms: parameters in, one request to the engine, layers out."""
