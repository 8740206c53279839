"""Annotation files of other tools: reading and writing them, one file per format."""
