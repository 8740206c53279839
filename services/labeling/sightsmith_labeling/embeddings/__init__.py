"""Embeddings of images and what they are good for: similar images, labels by example, an order for labelling."""
