"""Imports: images and annotations from files, object stores and other datasets."""
