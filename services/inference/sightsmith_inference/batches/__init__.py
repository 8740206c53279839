"""Predictions for any number of stored images: cut into shards, answered by any number of processes, put together."""
