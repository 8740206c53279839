"""Sightsmith: custom vision models on your own machines. This package holds what its services and clients share."""
