"""Suggestions: labels that models propose, and what people make of them."""
