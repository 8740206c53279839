"""The inference service: deployments, and the data path to Triton."""
