"""What models propose and people decide: suggestions, and the review queue of predictions from production."""
