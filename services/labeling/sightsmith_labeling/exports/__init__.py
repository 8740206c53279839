"""Exports: images and annotations as archives in the formats of other tools."""
