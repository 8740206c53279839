"""Training the models of deployments anew, by what people corrected, and proposing what is better."""
