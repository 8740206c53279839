"""The same model behind other model servers, for comparison; each runs in an environment of its own."""
